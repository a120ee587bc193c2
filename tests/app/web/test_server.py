"""Where the app is served: on this machine unless told otherwise, and without asking any other."""

import json
import os
import socket
from pathlib import Path

import pytest
import requests
import streamlit.web.cli
from streamlit import config, net_util
from streamlit.web.server import server_util

from app.web.server import VARIABLE, PortError, is_private, serve
from tests.e2e.hostile import free_port


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that Streamlit is called with; what `serve` changes is changed back."""
    words: list[str] = []
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(config, "get_config_files", config.get_config_files)
    monkeypatch.setattr(net_util, "get_external_ip", net_util.get_external_ip)
    monkeypatch.setattr(streamlit.web.cli, "main", lambda args, prog_name: words.extend(args))
    return words


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_who_can_reach_an_address(host: str, private: bool) -> None:
    assert is_private(host) is private


def test_pages_are_told_what_was_opened(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    runs = [tmp_path / "a", tmp_path / os.fsdecode(b"b\xff")]
    serve(tmp_path, runs, True, [tmp_path / "data"], "127.0.0.1", port, True)
    told = json.loads(os.environ[VARIABLE])
    opened = {"folder": str(tmp_path), "runs": [str(run) for run in runs], "demo": True}
    assert told == opened | {"moved": [str(tmp_path / "data")]}
    assert capsys.readouterr().err == f"PersaRank is served on http://127.0.0.1:{port} (Ctrl-C ends it).\n"
    assert {"--server.address=127.0.0.1", f"--server.port={port}", "--server.headless=true"} <= set(served)
    assert {"--browser.gatherUsageStats=false", "--client.showErrorDetails=none"} <= set(served)


def test_only_names_of_this_machine_are_answered_unless_it_is_opened_to_others(
    served: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(tmp_path, (), False, (), "127.0.0.1", free_port(), True)
    hosts = [word for word in served if "allowedHosts" in word]
    assert hosts == [f"--server.allowedHosts={name}" for name in ("localhost", "127.0.0.1", "::1")]
    served.clear()
    serve(tmp_path, (), False, (), "0.0.0.0", free_port(), True)
    assert "--server.address=0.0.0.0" in served
    assert "http://localhost:" in capsys.readouterr().err.splitlines()[-1]
    assert not any("allowedHosts" in word for word in served)


def test_another_sites_page_does_not_make_it_ask_for_its_own_address(
    served: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(requests, "get", lambda url, **more: asked.append(url))
    monkeypatch.setattr(net_util, "_external_ip", None)
    serve(tmp_path, (), False, (), "127.0.0.1", free_port(), True)
    assert not server_util.is_url_from_allowed_origins("http://elsewhere.example")
    assert not asked


def test_a_taken_port_and_an_address_of_others_are_said(served: list[str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"port {port} is taken: choose another --port"):
            serve(tmp_path, (), False, (), "127.0.0.1", port, True)
    with pytest.raises(PortError, match=r"nothing can be served on the address 203\.0\.113\.1"):
        serve(tmp_path, (), False, (), "203.0.113.1", None, True)
    assert not served
