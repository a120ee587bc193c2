"""Where the prepared demo lies, and the server that shows it. Imports little: a second start is quick."""

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

import click

RUNS = ("fedavg", "persa-fl-me")
DATA = "data"
REPORT = "report.json"
VERSION = "1"
"""Part of the directory's name; raise it when prepared files of an older version would mislead."""

PORT = 8501
HOST = "127.0.0.1"


def home() -> Path:
    """Where the prepared demo lives: $PERSARANK_HOME, or else below the user's cache directory."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PERSARANK_HOME") or Path(cache) / "persarank") / f"demo-{VERSION}"


def ready(directory: Path) -> bool:
    """Whether everything is prepared."""
    return all((directory / name / REPORT).is_file() for name in RUNS)


def serve(directory: Path, port: int | None, headless: bool) -> NoReturn:
    """Become the server of the prepared demo, until Ctrl-C: one process, so nothing is left behind."""
    port = _port(port)
    flags = {
        "server.address": HOST,
        "server.port": port,
        "server.headless": str(headless).lower(),
        "server.showEmailPrompt": "false",
        "logger.hideWelcomeMessage": "true",
        "server.maxUploadSize": 5,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }
    page = Path(__file__).parents[1] / "web" / "entry.py"
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
