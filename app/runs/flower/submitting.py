"""Has a training done by a Flower network, and passes on what the network's server tells of it."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.runs.directory import require_room
from app.runs.flower.job import EVENTS, NOW, STOP, Job
from app.runs.flower.network import Network, NetworkError
from app.runs.flower.processes import began, runs
from app.runs.following import Watch
from app.runs.phases import Phases
from app.runs.settings import Settings
from app.runs.shell import command
from app.runs.stop import Stop
from data.files import write_bytes
from federated.events import Evaluated, Merged

JOBS = "jobs"
LOOK = 0.1
"""Seconds between two looks at what the server has told."""

BEGINS_WITHIN = 60.0
"""Seconds in which the server has to say its first word."""

EVENT = {"Merged": Merged, "Evaluated": Evaluated}


class ServerError(Exception):
    """What went wrong in the server.

    Attributes:
        kinds: the names of the exception's class there, and of those that it is one of.
        summary: of the run, if there is one.
    """

    def __init__(self, kinds: Sequence[str], message: str, summary: dict[str, Any] | None) -> None:
        self.kinds, self.summary = tuple(kinds), summary
        self.strerror = message if "OSError" in self.kinds else None
        super().__init__(message)


def train_remotely(
    network: Network,
    settings: Settings,
    data: Path,
    out: Path,
    watch: Watch,
    phases: Phases,
    until: int | None = None,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on a network as `train_run` or `resume_run` do here; arguments as theirs.

    Raises:
        NetworkError: the network is down, or its server ends without a word.
        RunError: no run can be made at ``out``.
        ServerError: whatever goes wrong there.
    """
    network.require_up()
    if not resume:
        require_room(out)
    folder = network.directory / JOBS / secrets.token_hex(8)
    told = str(out.resolve())
    job = Job(str(data.resolve()), told, resume, network.nodes, until, dict(overrides or {}))
    job.write(folder, settings.to_toml({}))
    write_bytes(folder / EVENTS, b"")
    network.submit(folder)
    with Stop() as stop:
        for what, about in _lines(folder, stop, out):
            if what in EVENT:
                watch(EVENT[what](**about))
            elif what == "phase":
                phases.tell(*about)
            elif what == "warn":
                phases.warn(about)
            elif what == "error":
                raise ServerError(about["kinds"], about["message"].replace(told, str(out)), about["summary"])
            elif what == "summary":
                return {**about, "run": str(out)}
    raise AssertionError("the last line is a summary or an error")


def _lines(folder: Path, stop: Stop, out: Path) -> Iterator[tuple[str, Any]]:
    """What the server tells, as it comes, until the end of the process that tells it."""
    since, asked = time.monotonic(), False
    process: tuple[int, float] | None = None
    with (folder / EVENTS).open() as file:
        rest = ""
        while True:
            alive = process is None or runs(*process)
            rest += file.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                what, about = json.loads(line)
                process = (about, began(about)) if what == "pid" else process
                yield what, about
            if stop.asked() and not asked:
                write_bytes(folder / STOP, b"")
                asked = True
            if stop.asked_again():
                write_bytes(folder / NOW, b"")
            if not alive:
                raise NetworkError(
                    f"the server of the training ended without a word; go on with: {command('resume', out)}"
                )
            if process is None and time.monotonic() - since > BEGINS_WITHIN:
                write_bytes(folder / STOP, b"")
                raise NetworkError(f"the network did not begin the training: see its logs, and {folder}.")
            if not lines:
                time.sleep(LOOK)
