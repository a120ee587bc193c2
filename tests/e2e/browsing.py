"""Debian's Chromium, and the demo served to it by the command itself, as a visitor meets them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.hostile import OWN, free_port, lay, lay_settings, start, wait_for

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

DRAWN = "[...document.querySelectorAll('.stVegaLiteChart')].every(chart => chart.querySelector('svg'))"
"""All charts of a page are there."""

needs_chromium = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, which is closed in the end."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def served_demo(program: str, home: Path, folder: Path) -> Iterator[str]:
    """The address of the demo, served in a folder whose own files must not matter.

    Args:
        program: which runs the command.
        home: where the demo is prepared.
        folder: the working directory.
    """
    traces = lay(folder, OWN)
    lay_settings(folder / ".streamlit")
    port = free_port()
    server = start(
        program, "demo", "--headless", "--port", port, cwd=folder, path=str(folder), PERSARANK_HOME=str(home)
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/_stcore/health", server)
        yield address
    finally:
        server.terminate()
        server.communicate(timeout=20)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server outlived its command"
        assert not traces.exists(), traces.read_text()


def watched(page: Page, address: str) -> list[str]:
    """What a page must not do, as it does it: ask other machines, open dialogs, write to the console."""
    heard: list[str] = []
    own = (address, "data:", "blob:", address.replace("http", "ws"))
    page.on("request", lambda request: None if request.url.startswith(own) else heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    return heard


def serious(page: Page, options: dict[str, Any] | None = None) -> str:
    """What axe finds on a page that keeps people from using it; "" for nothing."""
    found = Axe().run(page, options=options).response["violations"]
    kept = [
        (rule["id"], [node["html"][:300] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    return json.dumps(kept, indent=1) if kept else ""
