"""The demo's address is true, and on this machine only, whatever the user has set for pages of their own."""

import http.client
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.hostile import CALL, INSTALLED, OTHERS, OWN, free_port, lay, lay_settings, start, wait_for

VARIABLES = {
    "STREAMLIT_SERVER_BASE_URL_PATH": "hub",
    "STREAMLIT_SERVER_ADDRESS": "0.0.0.0",
    "STREAMLIT_SERVER_PORT": "1",
    "STREAMLIT_SERVER_SSL_CERT_FILE": "/nowhere/cert.pem",
    "STREAMLIT_SERVER_SSL_KEY_FILE": "/nowhere/key.pem",
    "STREAMLIT_SERVER_COOKIE_SECRET": "env",
    "STREAMLIT_GLOBAL_DEVELOPMENT_MODE": "true",
    "STREAMLIT_BROWSER_SERVER_ADDRESS": "example.org",
    "STREAMLIT_LOG_LEVEL": "no level",
    "STREAMLIT_RUN_TARGET": "other.py",
}
FROM: dict[str, Callable[[Path], dict[str, str]]] = {
    "environment": lambda place: VARIABLES,
    "working directory": lambda place: lay_settings(place / ".streamlit"),
    "home": lambda place: lay_settings(place / ".streamlit") | {"HOME": str(place)},
}
IGNORING = INSTALLED + "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "


@contextmanager
def served(program: str, home: Path, **how: str | Path) -> Iterator[tuple[int, str]]:
    """(process, the address that it prints); in the end it is asked to end."""
    port = free_port()
    server = start(program, "demo", "--headless", "--port", port, PERSARANK_HOME=str(home), **how)
    try:
        said = server.stderr.readline()
        assert said == f"PersaRank is served on http://127.0.0.1:{port} (Ctrl-C ends it).\n"
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/_stcore/health", server)
        yield server.pid, address
        server.terminate()
        assert server.wait(timeout=20) == 0
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with served(CALL, home) as (_, address):
        yield address


@pytest.mark.parametrize("where", FROM)
def test_others_settings_do_not_matter(where: str, home: Path, tmp_path: Path) -> None:
    settings = FROM[where](tmp_path)
    folder = tmp_path / "folder" if where == "home" else tmp_path
    folder.mkdir(exist_ok=True)
    traces = lay(folder, OWN + OTHERS)
    with served(CALL, home, cwd=folder, **settings) as (_, address):
        with urllib.request.urlopen(address, timeout=5) as page:
            assert page.status == 200
            assert "<title>Streamlit</title>" in page.read().decode()
        with socket.socket() as elsewhere:
            port = int(address.rpartition(":")[2])
            assert elsewhere.connect_ex(("127.0.0.2", port)) != 0, "it is open to other machines"
    assert not traces.exists(), traces.read_text()


def test_an_ignored_ctrl_c_stays_ignored(home: Path) -> None:
    """As in the background of a script."""
    with served(IGNORING + "from persarank import main; main()", home) as (process, address):
        os.kill(process, signal.SIGINT)
        time.sleep(1)
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as health:
            assert health.status == 200


CALLS = {
    "its own page": ("{own}", "http://{own}", 101),
    "a page of another site": ("{own}", "http://elsewhere.example", 403),
    "a page of another site whose name leads here": ("elsewhere.example", "http://elsewhere.example", 403),
}


@pytest.mark.parametrize("who", CALLS)
def test_only_its_own_page_may_talk_to_it(who: str, address: str) -> None:
    """A page on the internet can call any address of this machine, and make a name of its own lead here."""
    own = address.removeprefix("http://")
    host, origin, expected = CALLS[who]
    headers = {
        "Host": host.format(own=own),
        "Origin": origin.format(own=own),
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with closing(http.client.HTTPConnection(own, timeout=10)) as connection:
        connection.request("GET", "/_stcore/stream", headers=headers)
        assert connection.getresponse().status == expected
