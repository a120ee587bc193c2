"""From a log with odd columns to one's own suggestions in a browser, without a terminal, in two minutes."""

import csv
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from app.web import jobs
from tests.e2e.browsing import chromium, needs_chromium, serious
from tests.e2e.crashes import ROOT
from tests.e2e.hostile import free_port, start, wait_for

CALL = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'app' / 'door')]}; " + (
    "from persarank import main; main()"
)
LIMIT = 120
"""Seconds from the upload to the suggestions."""

EVENTS = 200
COLUMNS = ("Wer? **wir**", "<b>Wann</b> :red[x]", "Was $gesucht$", "")
HOSTILE = "<img src=x onerror=document.title='owned'>"

pytestmark = needs_chromium


@dataclass(frozen=True)
class Served:
    """An app on an empty folder."""

    address: str
    folder: Path
    server: "subprocess.Popen[str]"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Six people, each with searches of their own; days and months that can be read twice."""
    draw, moment, file = random.Random(0), datetime(2024, 3, 5, 9), tmp_path / "Searches <i> **2024**.csv"
    topics = [[f"{verb} {name}" for verb in ("make", "open", "find", "send")] for name in "abcdef"]
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream, delimiter=";")
        rows.writerow(COLUMNS)
        for at in range(EVENTS):
            moment += timedelta(minutes=draw.randint(1, 40))
            text = HOSTILE if at == 0 else draw.choice(topics[at % 6] if draw.random() < 0.8 else topics[0])
            rows.writerow([f"Person {at % 6}", moment.strftime("%d/%m/%Y %H:%M"), text, "x"])
    return file


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`persarank app` in a folder where nothing is yet, by somebody who has no demo either."""
    folder, home = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("home")
    port = free_port()
    server = start(CALL, "app", "--headless", "--port", port, cwd=folder, PERSARANK_HOME=str(home))
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/_stcore/health", server)
        yield Served(address, folder, server)
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(served: Served, browser: Browser) -> Iterator[Page]:
    """A tab on the app; dialogs, messages of the browser's console and requests to other machines fail."""
    with browser.new_context(viewport={"width": 1280, "height": 1000}) as context:
        seen: list[str] = []
        own = (served.address, "data:", "blob:", served.address.replace("http", "ws"))
        context.on("request", lambda r: None if r.url.startswith(own) else seen.append(r.url))
        context.on("console", lambda m: None if _of_a_reload(m) else seen.append(m.text))
        context.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        tab = context.new_page()
        tab.goto(served.address)
        expect(tab.get_by_role("link", name="Train", exact=True)).to_be_visible(timeout=60_000)
        yield tab
        assert not seen


def _of_a_reload(message: ConsoleMessage) -> bool:
    """Streamlit looks for its own files below the page's address first, and then at the root."""
    return "404" in message.text and "/_stcore/" in message.location["url"]


def accessible(page: Page, scheme: str) -> None:
    """It fits a phone, and has no serious violation of accessibility, in light or dark."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.wait_for_timeout(300)
    assert serious(page) == ""


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def job(served: Served) -> jobs.Job:
    return jobs.jobs(served.folder)[0]


def test_from_an_odd_log_to_own_suggestions(page: Page, served: Served, log: Path) -> None:
    page.get_by_role("link", name="Import a log").click()
    upload = page.locator("input[type=file]")
    upload.wait_for(state="attached", timeout=30_000)
    began = time.monotonic()
    upload.set_input_files(log)
    asked = page.get_by_text("it can be read with the day first and with the month first")
    expect(asked).to_be_visible(timeout=30_000)
    for name in COLUMNS[:3]:
        expect(page.get_by_role("columnheader", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name=HOSTILE, exact=True)).to_be_visible()
    choose(page, "Dates are written", "day first: 03/04 is the third of April")
    expect(page.get_by_text(f"{EVENTS} searches of 6 users")).to_be_visible(timeout=30_000)
    accessible(page, "light")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Hit rate by characters typed").first).to_be_visible(timeout=60_000)
    accessible(page, "dark")
    page.get_by_role("link", name="Train on this").first.click()
    page.get_by_role("button", name="Start training").click(timeout=30_000)
    expect(page.get_by_role("button", name="Stop")).to_be_visible(timeout=30_000)
    page.reload()
    expect(page.get_by_text("NMRR on validation slates was").first).to_be_visible(timeout=60_000)
    link = page.get_by_role("link", name="Open in Suggest")
    expect(link).to_be_visible(timeout=60_000)
    accessible(page, "light")
    link.click()
    run = page.get_by_role("combobox", name="Run", exact=True)
    expect(run).to_have_value(re.compile("^runs/searches-i-2024-persa-fl-ditto-mlp"), timeout=30_000)
    taken = time.monotonic() - began
    print(f"from the upload to the suggestions: {taken:.0f} s", file=sys.stderr)
    assert "owned" not in page.title()
    assert page.locator("img[src=x]").count() == 0
    assert taken < LIMIT


def test_a_training_goes_on_without_its_page_and_is_saved_when_the_server_ends(
    page: Page, served: Served, tiny: Path
) -> None:
    (served.folder / "searches").mkdir(exist_ok=True)
    (served.folder / "searches" / "tiny").symlink_to(tiny)
    page.goto(f"{served.address}/train?data=searches/tiny")
    page.get_by_label("Updates", exact=True).fill("900000")
    page.get_by_label("Updates", exact=True).press("Enter")
    expect(page.get_by_text("--updates")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("updates/s")).to_be_visible(timeout=60_000)
    other = page.context.new_page()
    page.close()
    other.goto(served.address)
    other.get_by_role("link", name="Train", exact=True).click()
    expect(other.get_by_text("updates/s")).to_be_visible(timeout=30_000)
    assert job(served).state == jobs.RUNNING
    served.server.terminate()
    other.close()
    end = time.monotonic() + 60
    while job(served).state == jobs.RUNNING:
        assert time.monotonic() < end, "it outlived the server"
        time.sleep(0.1)
    assert job(served).state == jobs.STOPPED, job(served).said
    assert job(served).resumable
    assert "the model so far is saved" in job(served).said
