"""Takes pictures of every page of the app, light and dark, on a laptop and a phone: `make pictures`.

They go to app/pictures/, e.g. suggest.png, suggest-dark.png, suggest-phone.png and suggest-phone-dark.png.
The demo is prepared first, if it is not yet; nothing else is shown.
"""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.browsing import DRAWN, chromium
from tests.e2e.hostile import CALL, free_port, wait_for

PICTURES = ROOT / "app" / "pictures"
PAGES = ("suggest", "compare", "train", "data", "about")
SCREENS = {"": (1280, 800), "-phone": (390, 844)}
LIGHTS = {"": "light", "-dark": "dark"}
COLOURS, LARGEST = 256, 200_000
"""Of a picture, and its bytes."""

USER, TYPED = "user 018", "h"


@contextmanager
def served() -> Iterator[str]:
    """The demo in a folder of its own."""
    subprocess.run([sys.executable, "-P", "-c", CALL, "demo", "--prepare-only"], check=True)
    port = free_port()
    with TemporaryDirectory() as folder:
        words = ["demo", "--headless", "--port", str(port), "--folder", folder]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        server = subprocess.Popen([sys.executable, "-P", "-c", CALL, *words], env=environment, text=True)
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def show(page: Page, address: str, name: str) -> None:
    """Open a page of the app, and wait until all of it is drawn."""
    page.goto(f"{address}/?user={USER.replace(' ', '+')}" if name == "suggest" else f"{address}/{name}")
    page.get_by_role("heading", level=1).first.wait_for(timeout=60_000)
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)
    if name == "suggest":
        page.get_by_role("combobox", name="Search").click()
        page.keyboard.type(TYPED, delay=120)
        page.wait_for_timeout(1500)
    page.wait_for_function(DRAWN, timeout=15_000)
    page.wait_for_timeout(700)


def save(picture: bytes, place: Path) -> None:
    """Write a picture small: flat pages need few colours."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(place, optimize=True)
    size = place.stat().st_size
    assert size <= LARGEST, f"{place} has {size} bytes"
    print(f"{place.relative_to(ROOT)}: {size // 1000} kB", flush=True)


def main() -> None:
    """Take all pictures."""
    with served() as address, chromium() as browser:
        for light, scheme in LIGHTS.items():
            for screen, (width, height) in SCREENS.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
                )
                page = context.new_page()
                for name in PAGES:
                    show(page, address, name)
                    save(page.screenshot(), PICTURES / f"{name}{screen}{light}.png")
                context.close()


if __name__ == "__main__":
    main()
