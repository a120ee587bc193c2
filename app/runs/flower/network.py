"""A Flower network of this machine: a SuperLink and SuperNodes, started, asked and ended.

Its folder holds everything::

    network.json    what it is: address, port, and the processes that run
    ca.pem, …       certificates of the SuperLink; keys/ of nodes
    data/node-K/    the dataset of each node: its own users', and nobody else's
    homes/node-K/   what each node keeps, see `home`
    flwr-…/         what Flower keeps; logs/ of all processes
    jobs/           trainings that were asked for, see `job`
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import Any

import tomli_w
from pydantic import TypeAdapter, ValidationError

from app.runs.flower.processes import LOCAL, began, free_port, listens, living_in, program, runs
from data.files import write_bytes

NETWORK, USUAL = "network.json", ".persarank-flower"
SUPERLINK = "superlink"
"""The name of its process, and of its connection in Flower's configuration."""

SOON = 60.0
"""Seconds that starting and ending may take."""

LATEST = 120.0
"""Seconds in which nodes must be there: Flower believes for a minute that a killed one still is."""

HOME = "FLWR_HOME"
"""The variable that names the folder of a process of Flower, and of those that it starts."""

ALONE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONUNBUFFERED": "1",
}
"""Environment of Flower's processes: they tell nobody of themselves."""

BUNDLE = Path(__file__).parent / "bundle"


class NetworkError(Exception):
    """A network that is not there, or does not do what it should."""


@dataclass
class Network:
    """A network.

    Attributes:
        directory: its folder.
        address: by which nodes reach the SuperLink.
        port: of it.
        secure: whether there are TLS and keys of nodes.
        nodes: SuperNodes on this machine.
        processes: (process id, when it began) by name, of those that were started.
        dealt: the fingerprint of the dataset that was dealt out; None: of none.
    """

    directory: Path
    address: str
    port: int
    secure: bool
    nodes: int
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)
    dealt: str | None = None

    @classmethod
    def open(cls, directory: Path) -> "Network":
        """The network of a folder.

        Raises:
            NetworkError: there is none.
        """
        try:
            kept = _KEPT.validate_json((directory / NETWORK).read_bytes(), strict=True)
        except OSError as error:
            raise NetworkError(
                f"there is no Flower network in {directory}: start one with persarank flower up."
            ) from error
        except ValidationError as error:
            raise NetworkError(f"{directory / NETWORK} is damaged.") from error
        return replace(kept, directory=directory.resolve())

    def save(self) -> None:
        """Write down what it is."""
        write_bytes(self.directory / NETWORK, _KEPT.dump_json(self, indent=1))

    def running(self) -> list[str]:
        """Names of the processes that run."""
        return [name for name, about in self.processes.items() if runs(*about)]

    def require_up(self) -> None:
        """Raise NetworkError unless the SuperLink runs."""
        if SUPERLINK not in self.running():
            raise NetworkError(
                f"the Flower network in {self.directory} is down: start it with persarank flower up."
            )

    def flwr(self, *words: str) -> dict[str, Any]:
        """What Flower's own command answers.

        Raises:
            NetworkError: it fails.
        """
        command = [program("flwr"), *words, "--format", "json"]
        env = self._environment(SUPERLINK)
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SOON, check=False)
        except subprocess.TimeoutExpired as error:
            raise NetworkError(f"flwr {' '.join(words[:2])} has not answered within {SOON:.0f} s.") from error
        with suppress(ValueError):
            answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
            if answer.get("success", True):
                return answer
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NetworkError(f"flwr {' '.join(words[:2])} failed: {said[-1] if said else done.returncode}")

    def register(self, public: Path) -> None:
        """Let a node take part whose public key this is."""
        self.flwr("supernode", "register", str(public), SUPERLINK)

    def online(self) -> int:
        """How many nodes are there."""
        listed = self.flwr("supernode", "list", SUPERLINK).get("nodes", [])
        return sum(str(node.get("status", "")).lower() == "online" for node in listed)

    def submit(self, job: Path) -> None:
        """Have the SuperLink start a ServerApp for a job."""
        config = job / "run.toml"
        write_bytes(config, tomli_w.dumps({"job": str(job)}).encode())
        self.flwr("run", str(BUNDLE), SUPERLINK, "--run-config", str(config))

    def start(self, name: str, command: list[str]) -> None:
        """Start a process of the network, which lives until it is ended."""
        log = self.directory / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as out:
            process = subprocess.Popen(
                [program(command[0]), *command[1:]],
                env=self._environment(name),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = (process.pid, began(process.pid))
        Thread(target=process.wait, daemon=True).start()  # while this process lives, no zombie is left
        self.save()

    def start_superlink(self) -> None:
        """Start the SuperLink and wait until it listens."""
        host = LOCAL if self.address == LOCAL else "0.0.0.0"
        trust = ["--insecure"]
        if self.secure:
            trust = ["--ssl-ca-certfile", "ca.pem", "--ssl-certfile", "server.pem"]
            trust += ["--ssl-keyfile", "server.key", "--enable-supernode-auth"]
        where = ["--host", host, "--port", str(self.port), "--database", "state.db"]
        own = ["--disable-runtime-dependency-installation"]
        self.start(SUPERLINK, ["flower-superlink", *trust, *where, *own])
        self._wait(lambda: listens(self.port), "the SuperLink does not listen", SUPERLINK)

    def start_node(self, name: str, place: str | None = None) -> None:
        """Start a SuperNode on this machine.

        Args:
            name: of its key.
            place: whose data and home it has; None: its own.
        """
        config, place = self.directory / "homes" / f"{name}.toml", place or name
        about = {"data": str(self.directory / "data" / place), "home": str(self.directory / "homes" / place)}
        write_bytes(config, tomli_w.dumps(about).encode())
        trust = ["--insecure"]
        if self.secure:
            trust = ["--root-certificates", "ca.pem", "--auth-supernode-private-key", f"keys/{name}.key"]
        where = ["--superlink", f"{LOCAL}:{self.port}", "--port", str(free_port())]
        self.start(name, ["flower-supernode", *trust, *where, "--node-config", str(config)])

    def stop(self, name: str) -> None:
        """End a process and all that it has started; by force, if it does not by itself."""
        about = self.processes.pop(name, None)
        if about is not None and runs(*about):
            os.kill(about[0], signal.SIGTERM)
            ends = time.monotonic() + SOON / 6
            while runs(*about) and time.monotonic() < ends:
                time.sleep(0.05)
        for process in living_in(HOME, self._flower_home(name)):  # Flower's own children have other groups
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.save()

    def write_connection(self) -> None:
        """How Flower's own command reaches the SuperLink."""
        about: dict[str, Any] = {"address": f"{LOCAL}:{self.port}"}
        about |= {"root-certificates": str(self.directory / "ca.pem")} if self.secure else {"insecure": True}
        config = {"superlink": {"default": SUPERLINK, SUPERLINK: about}}
        write_bytes(self._flower_home(SUPERLINK) / "config.toml", tomli_w.dumps(config).encode())

    def _wait(self, done: Callable[[], bool], why: str, name: str) -> None:
        ends = time.monotonic() + SOON
        while not done():
            if time.monotonic() > ends or name not in self.running():
                raise NetworkError(f"{why}: see {self.directory / 'logs' / name}.log.")
            time.sleep(0.1)

    def wait_for_nodes(self) -> None:
        """Wait until all nodes of this machine are there."""
        ends = time.monotonic() + LATEST
        while self.online() < self.nodes:
            if time.monotonic() > ends:
                raise NetworkError(f"not all nodes have come: see {self.directory / 'logs'}.")
            time.sleep(1)
            for name in set(self.processes) - set(self.running()):  # Flower thinks that it still runs
                self.start_node(name)

    def _environment(self, name: str) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        path = os.pathsep.join([programs, os.environ.get("PATH", "")])
        own = {HOME: str(self._flower_home(name)), "PATH": path, "OMP_NUM_THREADS": "1"}
        return {**os.environ, **ALONE, **own}

    def _flower_home(self, name: str) -> Path:
        home = self.directory / f"flwr-{name}"
        home.mkdir(exist_ok=True)
        return home


_KEPT = TypeAdapter(Network)
"""A network as its file has it."""
