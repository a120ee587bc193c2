"""Serves the prepared demo to browsers on this machine. Imports little, as `app.suggestions.demo` does."""

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

PORT = 8501
HOST = "127.0.0.1"


class PortError(Exception):
    """The port is taken; the message says what to do."""


def serve(directory: Path, port: int | None, headless: bool) -> NoReturn:
    """Become the server of the prepared demo, until Ctrl-C: one process, so nothing is left behind.

    Raises:
        PortError: nothing can be served on the port.
    """
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
    page = Path(__file__).with_name("entry.py")
    command = [sys.executable, "-m", "streamlit", "run", str(page)]
    command += [f"--{name}={value}" for name, value in flags.items()]
    print(f"PersaRank is served on http://{HOST}:{port} (Ctrl-C ends it).", file=sys.stderr, flush=True)
    os.execve(sys.executable, command, _environment(directory))


def _environment(directory: Path) -> dict[str, str]:
    """That of the server, which looks for its settings in a home directory and needs one."""
    home = {"HOME": str(directory)} if os.path.expanduser("~") == "~" else {}
    return {**os.environ, **home, "PERSARANK_DEMO": str(directory)}


def _port(wanted: int | None) -> int:
    """The port asked for, or PORT, or a free one if nothing was asked for and PORT is taken."""
    for candidate in (wanted or PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                if wanted:
                    raise PortError(f"port {wanted} is taken: choose another --port.") from None
                continue
            return int(probe.getsockname()[1])
    raise PortError("no free port was found.")
