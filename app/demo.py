"""Prepares the demo once and serves it: simulated users, a FedAvg and a PersA-FL run, a web page."""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import NoReturn

import click

from app.evaluate import evaluate
from app.progress import TrainingBar
from app.runs import REPORT
from app.settings import resolve
from app.train import train_run
from data.schema import read, write
from data.simulator import simulate

RUNS = ("fedavg", "persa-fl-me")
DATA = "data"
VERSION = "1"
"""Part of the directory's name; raise it when prepared files of an older version would mislead."""

PORT = 8501
HOST = "127.0.0.1"


def home() -> Path:
    """Where the prepared demo lives: $PERSARANK_HOME, or else below the user's cache directory."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PERSARANK_HOME") or Path(cache) / "persarank") / f"demo-{VERSION}"


def prepare(directory: Path, users: int = 200, updates: int | None = None) -> None:
    """Make what is missing of the demo; a part that was interrupted is made anew.

    ``users`` and ``updates`` (None: each algorithm's own) make a smaller demo, e.g. for a test.
    """
    data = directory / DATA
    if not (data / "manifest.json").is_file():
        print(f"Simulating {users} users …", file=sys.stderr, flush=True)
        shutil.rmtree(data, ignore_errors=True)
        write(simulate(users), data)
    for algorithm in RUNS:
        run = directory / algorithm
        if (run / REPORT).is_file():
            continue
        print(f"Training {algorithm} (once; about a minute) …", file=sys.stderr, flush=True)
        shutil.rmtree(run, ignore_errors=True)
        settings = resolve({"algorithm": algorithm, "updates": updates}, {})
        with TrainingBar(algorithm, settings.updates) as bar:
            train_run(settings, data, read(data), run, bar.see)
        evaluate([run], data, "test")


def serve(directory: Path, port: int | None, headless: bool) -> NoReturn:
    """Become the server of the prepared demo, until Ctrl-C: one process, so nothing is left behind."""
    port = _port(port)
    flags = {
        "server.address": HOST,
        "server.port": port,
        "server.headless": str(headless).lower(),
        "server.showEmailPrompt": "false",
        "server.maxUploadSize": 5,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }
    page = Path(__file__).with_name("web.py")
    command = [sys.executable, "-m", "streamlit", "run", str(page)]
    command += [f"--{name}={value}" for name, value in flags.items()]
    print(f"PersaRank is served on http://{HOST}:{port} (Ctrl-C ends it).", file=sys.stderr, flush=True)
    os.execve(sys.executable, command, {**os.environ, "PERSARANK_DEMO": str(directory)})


def _port(wanted: int | None) -> int:
    """The port asked for, or PORT, or a free one if nothing was asked for and PORT is taken."""
    for candidate in (wanted or PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                if wanted:
                    raise click.UsageError(f"port {wanted} is taken: choose another --port.") from None
                continue
            return int(probe.getsockname()[1])
    raise click.UsageError("no free port was found.")
