"""Serves the app to browsers: on this machine only, unless another address is asked for.

Imports little, so that a start is quick.
"""

import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

PORT = 8501
HOST = "127.0.0.1"
LARGEST = 50
"""Megabytes of one upload: some hundred thousand searches."""

EVERYWHERE = ("0.0.0.0", "::")
"""Stands for all addresses of this machine, and for none that a browser could open."""

VARIABLE = "PERSARANK_APP"
"""Tells the pages, as JSON, what the app was opened on; see the arguments of `serve`."""


class PortError(Exception):
    """Nothing can be served there; the message says what to do."""


def serve(
    folder: Path,
    runs: Iterable[Path],
    demo: bool,
    moved: Iterable[Path],
    host: str,
    port: int | None,
    headless: bool,
) -> None:
    """Serve the app until Ctrl-C, in this process, so that nothing is left behind.

    Args:
        folder: where new runs and imported logs are written.
        runs: those that were named, or the demo's.
        demo: whether they are the demo's.
        moved: datasets that lie elsewhere than when runs learned from them.
        host: the address; whoever reaches it sees everything, see `is_private`.
        port: None: PORT or a free one.
        headless: whether no browser is opened.

    Raises:
        PortError: nothing can be served there.
    """
    port = _port(host, port)
    flags = {
        "server.address": host,
        "server.port": port,
        "server.headless": str(headless).lower(),
        "server.showEmailPrompt": "false",
        "logger.hideWelcomeMessage": "true",
        "server.maxUploadSize": LARGEST,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": "false",
        "runner.postScriptGC": "false",  # a full collection after each keystroke takes 0.2 seconds
        "theme.light.primaryColor": "#2563c9",  # of one theme alone there would be no dark
        "theme.dark.primaryColor": "#2563c9",
    }
    told = {
        "folder": str(folder.absolute()),
        "runs": [str(run.absolute()) for run in runs],
        "demo": demo,
        "moved": [str(data.absolute()) for data in moved],
    }
    os.environ[VARIABLE] = json.dumps(told)
    _give_home(folder)
    _forget_other_settings()
    _stay_on_this_machine()
    _keep_ignoring_interrupts()
    from streamlit.web import cli

    print(f"PersaRank is served on {_told(host, port)} (Ctrl-C ends it).", file=sys.stderr, flush=True)
    page = str(Path(__file__).with_name("entry.py"))
    # Under another name, which a page of the internet can point to this machine, it does not answer.
    names = ("localhost", HOST, "::1") if is_private(host) else ()
    told_hosts = [f"--server.allowedHosts={name}" for name in names]
    told_flags = [f"--{name}={value}" for name, value in flags.items()]
    cli.main(["run", page, *told_flags, *told_hosts], prog_name="streamlit")


def is_private(host: str) -> bool:
    """Whether this address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _told(host: str, port: int) -> str:
    """The address for people; some hosts stand for all of this machine's, and no browser could open them."""
    if host in EVERYWHERE:
        return f"http://localhost:{port}, and to other machines under this one's name or address"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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


def _stay_on_this_machine() -> None:
    """Streamlit asks a server of Amazon for its own address when another site's page calls it."""
    from streamlit import net_util

    def unknown() -> None:
        return None

    assert callable(net_util.get_external_ip), "Streamlit looks for its address in another way"
    net_util.get_external_ip = unknown


def _keep_ignoring_interrupts() -> None:
    """Streamlit hears Ctrl-C also where it was ignored when the process began, as in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _port(host: str, wanted: int | None) -> int:
    """The port asked for, or PORT, or a free one if nothing was asked for and PORT is taken."""
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.bind(address)
    except (OSError, UnicodeError):
        raise PortError(f"nothing can be served on the address {host}: choose another --host.") from None
    for candidate in (wanted or PORT, 0):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address[0], candidate))
            except OSError:
                if wanted:
                    raise PortError(f"port {wanted} is taken: choose another --port.") from None
                continue
            return int(probe.getsockname()[1])
    raise PortError("no free port was found.")
