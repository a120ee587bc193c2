"""`python tests/benchmarks/keystrokes.py`: from a keystroke to the list in Chromium; a table, or `--json`.

The Suggest page on the log of `suggestions.py`: 40,000 queries, a user with 5,000 events, pools of 75
candidates and more, random weights. Somebody types queries letter by letter; the clock runs in the browser,
from the input event until the list of what stands in the box is in the page.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE), str(HERE.parents[1])]

import numpy as np
import suggestions
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from ranking.sources import Log

BUDGET_MS = 200.0
"""The 95th percentile must not take longer."""

WATCH = """
() => {
  const roots = [...document.querySelectorAll('*')].map((element) => element.shadowRoot);
  const root = roots.find((one) => one?.querySelector('#options'));
  const input = root.querySelector('#text'), list = root.querySelector('#options');
  window.took = [];
  let began = null;
  input.addEventListener('input', () => { began = performance.now(); }, {capture: true});
  new MutationObserver(() => {
    if (began === null || list.querySelector('.typed')?.textContent !== input.value) return;
    took.push(performance.now() - began);
    began = null;
  }).observe(list, {childList: true});
}"""


def page(name: str, queries: int, events: int, others: int, port: int) -> None:
    """Serve the Suggest page on a service with random weights, without figures and other runs."""
    from app.web import opened
    from app.web.server import serve
    from app.web.suggesting import figures

    log = Log(suggestions.dataset(queries, events, others))
    made = suggestions.service(log, name)
    here = Path("/")
    opened.runs = lambda: {name: here}  # type: ignore[assignment]
    opened.run_named = lambda name: here  # type: ignore[assignment]
    opened.service = lambda name: made  # type: ignore[assignment]
    opened.checksum = lambda run: name  # type: ignore[assignment]
    figures.show = lambda run, user, models: None  # type: ignore[assignment]
    serve(Path.cwd(), (), False, (), "127.0.0.1", port, True)


@contextmanager
def served(name: str, *sizes: int) -> Iterator[str]:
    """The address of the page, served by another process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, __file__, "--page", name, *map(str, (*sizes, port))]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    with subprocess.Popen(words, env=environment) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(480):
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.25)
            yield address
        finally:
            server.terminate()


def typed(tab: Page, keystrokes: list[str], pause: float) -> list[float]:
    """Milliseconds from each keystroke to its list; nothing is counted that had no list of its own."""
    box = tab.get_by_role("combobox", name="Search as")
    box.wait_for(timeout=120_000)
    box.click()
    tab.evaluate(WATCH)
    for text in keystrokes:
        if len(text) == 1:
            box.fill("")
            time.sleep(pause)
        tab.keyboard.type(text[-1])
        time.sleep(pause)
    return list(tab.evaluate("took"))


def main() -> int:
    """Measure, and print; 1 where a keystroke takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=40_000)
    parser.add_argument("--events", type=int, default=5_000, help="of the user who types")
    parser.add_argument("--others", type=int, default=95_000, help="events of everybody else")
    parser.add_argument("--keystrokes", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between keystrokes")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    sizes = (given.queries, given.events, given.others)
    keystrokes = suggestions.keystrokes(Log(suggestions.dataset(*sizes)), given.keystrokes)
    found = {}
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    for name in ("mlp", "mlp-cnn"):
        with served(name, *sizes) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=given.chromium, args=flags)
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(address)
            took = typed(tab, keystrokes, given.pause)
            p50, p95, p99 = np.percentile(took, [50, 95, 99]).tolist()
            found[name] = {"keystrokes": len(took), "p50": p50, "p95": p95, "p99": p99}
            browser.close()
    load = os.getloadavg()[0]
    if given.json:
        print(json.dumps({"load": load, "milliseconds": found}, indent=2))
    else:
        table = Table(
            title=f"Keystroke to list in ms; load of the machine {load:.1f}, {os.cpu_count()} cores"
        )
        for column in ("ranker", "keystrokes", "p50", "p95", "p99"):
            table.add_column(column, justify="left" if column == "ranker" else "right")
        for name, row in found.items():
            table.add_row(name, *(f"{value:.0f}" for value in row.values()))
        Console().print(table)
    return int(any(row["p95"] > BUDGET_MS for row in found.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--page"]:
        page(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        sys.exit(main())
