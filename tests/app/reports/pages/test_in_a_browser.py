"""The page of a report in a real browser: offline, without a message, and accessible in every light."""

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

from app.reports.evidence import figures
from app.reports.evidence.gathering import gather
from app.reports.pages import html
from app.reports.pages.story import story
from tests.e2e.browsing import chromium, needs_chromium

pytestmark = needs_chromium

FIRST_ROWS = {"exclude": [["tbody tr:nth-child(n+3)"]]}
"""Further rows of tables are made as the first two are."""

COLOURS = {"type": "rule", "values": ["color-contrast"]}
LIGHTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"media": "screen", "color_scheme": "light"}, {}),
    ({"media": "screen", "color_scheme": "dark"}, {"runOnly": COLOURS}),
    ({"media": "print", "color_scheme": "dark"}, {"runOnly": COLOURS}),
]
"""And what axe looks at there: all that it knows, or what another light can change."""


def test_the_page_opens_offline_and_axe_finds_nothing(
    runs: dict[str, Path], hostile: Path, tmp_path: Path
) -> None:
    """With seeds, trees, two datasets, a hostile name, and a run that is left out."""
    some = [runs["me-0"], runs["me-1"], runs["forest"], hostile, tmp_path / "gone"]
    told = figures.report(gather(some), "test")
    place = tmp_path / "report.html"
    place.write_text(html.page(story(told)))
    assert place.stat().st_size < 1_000_000
    heard: list[str] = []
    with chromium() as browser:
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
        tab = context.new_page()
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on("request", lambda request: heard.append(request.url))
        tab.goto(place.as_uri())
        assert tab.title() == "How good are these rankers?"
        assert heard == [place.as_uri()], "the page asked for something else, or complained"
        context.close()
        context = browser.new_context(bypass_csp=True)  # axe is a script, and the page allows none
        tab = context.new_page()
        tab.goto(place.as_uri())
        folded = "document.querySelector('details:not(.data) table').checkVisibility()"
        assert not tab.evaluate(folded)
        tab.emulate_media(media="print")
        assert tab.evaluate(folded), "on paper nothing can be unfolded"
        tab.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        for light, rules in LIGHTS:
            tab.emulate_media(**light)
            options = {"resultTypes": ["violations"], **rules}
            found = Axe().run(tab, FIRST_ROWS, options).response["violations"]
            assert not found, [(v["id"], v["help"], v["nodes"][0]["html"][:200]) for v in found]
            ink = tab.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
            page = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ink != page, f"texts of charts cannot be seen: {light}"
        narrow = browser.new_page(viewport={"width": 360, "height": 640})
        narrow.goto(place.as_uri())
        width = narrow.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, "on a telephone only tables and charts scroll sideways"
