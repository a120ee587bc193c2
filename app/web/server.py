"""Serves the prepared demo to browsers on this machine. Imports little, as `app.suggestions.demo` does."""

import os
import signal
import socket
import sys
from pathlib import Path

PORT = 8501
HOST = "127.0.0.1"
VARIABLE = "PERSARANK_APP"
"""Tells the page, as JSON, what the app was opened on: its folder, the runs, and whether they are the demo."""


class PortError(Exception):
    """The port is taken; the message says what to do."""


def serve(directory: Path, port: int | None, headless: bool) -> None:
    """Serve the prepared demo until Ctrl-C, in this process, so that nothing is left behind.

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
    os.environ["PERSARANK_DEMO"] = str(directory.absolute())
    _give_home(directory)
    _forget_other_settings()
    _keep_ignoring_interrupts()
    from streamlit.web import cli

    print(f"PersaRank is served on http://{HOST}:{port} (Ctrl-C ends it).", file=sys.stderr, flush=True)
    page = str(Path(__file__).with_name("entry.py"))
    cli.main(["run", page, *(f"--{name}={value}" for name, value in flags.items())], prog_name="streamlit")


def _give_home(directory: Path) -> None:
    """Streamlit looks for a home directory, and fails where there is none."""
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = str(directory)


def _forget_other_settings() -> None:
    """A user's settings for other pages could move this one, break it, or open it to other machines."""
    for name in [name for name in os.environ if name.startswith("STREAMLIT_")]:
        del os.environ[name]
    from streamlit import config

    def none(file_name: str) -> list[str]:
        return []

    assert callable(config.get_config_files), "Streamlit finds its files in another way"
    config.get_config_files = none


def _keep_ignoring_interrupts() -> None:
    """Streamlit hears Ctrl-C also where it was ignored when the process began, as in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


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
