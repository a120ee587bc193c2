"""How long the app's pages take in a browser, and how much memory the server takes, on the prepared demo.

    python tests/benchmarks/app_pages.py

The demo's 200 users are prepared first, if they are not yet. Nothing is decided by these figures: they depend
on the machine, and on what else it does.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Page

from tests.e2e.browsing import chromium
from tests.e2e.hostile import CALL, free_port

TITLES = {"Compare": "Compare runs", "Train": "Train", "Data": "Data", "About": "About"}
SUGGEST = "Suggestions that know you"
TIMES = 5


def memory(process: int) -> tuple[int, int]:
    """What a process holds now, and the most that it ever held, in MB."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(told["VmRSS"].split()[0]) // 1000, int(told["VmHWM"].split()[0]) // 1000


def timed(act: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def switched(page: Page, link: str, title: str) -> float:
    """Seconds from the click on a page's link until all of it is there."""

    def switch() -> None:
        page.get_by_role("link", name=link, exact=True).first.click()
        page.get_by_role("heading", level=1, name=title, exact=True).wait_for(timeout=60_000)
        page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)

    return timed(switch)


def first_page(page: Page, address: str, server: "subprocess.Popen[bytes]") -> None:
    """Open the app as soon as it can be reached."""
    while True:
        assert server.poll() is None, "the server ended"
        try:
            socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    page.goto(address)
    page.get_by_role("heading", level=1, name=SUGGEST).wait_for(timeout=60_000)
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)


def main() -> None:
    """Measure, and print."""
    call = [sys.executable, "-P", "-c", CALL, "demo", "--headless"]
    subprocess.run([*call, "--prepare-only"], check=True)
    port = free_port()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begin = time.perf_counter()
        server = subprocess.Popen(
            [*call, "--port", str(port)], env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
        )
        try:
            first_page(page, f"http://127.0.0.1:{port}", server)
            print(f"first page, from the command on: {time.perf_counter() - begin:.1f} s")
            again = timed(lambda: first_page(page, f"http://127.0.0.1:{port}", server))
            print(f"first page, once somebody has seen it: {again:.1f} s")
            for link, title in TITLES.items():
                first = switched(page, link, title)
                later = []
                for _ in range(TIMES):
                    later.append(switched(page, "Suggest", SUGGEST))
                    later.append(switched(page, link, title))
                worst = f"{max(later):.2f} s at most of {len(later)} later switches"
                print(f"to {link}: {first:.2f} s at first, {worst}")
            print("memory of the server: {} MB now, {} MB at most".format(*memory(server.pid)))
        finally:
            server.terminate()
            server.wait(timeout=20)


if __name__ == "__main__":
    main()
