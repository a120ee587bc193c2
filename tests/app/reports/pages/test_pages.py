"""HTML and Markdown show the same tables, and every figure in them is one of the report's."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.reports.evidence import figures
from app.reports.evidence.gathering import gather
from app.reports.pages import html, markdown
from app.reports.pages.blocks import Block, Chart, Table, change, figure
from app.reports.pages.story import story
from app.reports.pages.training import _staleness
from app.reports.pages.words import metric_name
from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write

Rows = list[list[str]]


class Tables(HTMLParser):
    """Every table of a page by its caption: rows of cells, the headings first. And all tags there are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, Rows] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._caption, self._text = "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.found[self._caption].append([])
        if tag in ("caption", "th", "td"):
            self._text = ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            assert self._text not in self.found, f"two tables are called {self._text}"
            self._caption = self._text
            self.found[self._caption] = []
        if tag in ("th", "td"):
            self.found[self._caption][-1].append(self._text)


def tables_of_markdown(text: str) -> dict[str, Rows]:
    found = {}
    for caption, table in re.findall(r"\*\*(.+)\*\*\n\n((?:\|.*\n)+)", text):
        lines = [line[2:-2] for line in table.splitlines()]
        del lines[1]
        found[unescaped(caption)] = [
            [unescaped(cell) for cell in re.split(r" (?<!\\)\| ", line)] for line in lines
        ]
    return found


def unescaped(text: str) -> str:
    return re.sub(r"\\([\\`*_{}\[\]<>|#~$&])", r"\1", text)


@pytest.fixture(scope="session")
def blocks(told: dict[str, Any]) -> list[Block]:
    return story(told)


@pytest.fixture(scope="session")
def page(blocks: list[Block]) -> str:
    return html.page(blocks)


@pytest.fixture(scope="session")
def tables(page: str) -> dict[str, Rows]:
    return Tables(page).found


def test_html_and_markdown_have_the_same_tables(tables: dict[str, Rows], blocks: list[Block]) -> None:
    assert tables_of_markdown(markdown.text(blocks)) == tables
    drawn = [block.table if isinstance(block, Chart) else block for block in blocks]
    captions = [block.caption for block in drawn if isinstance(block, Table)]
    assert list(tables) == captions, "no block is forgotten"


def test_every_metric_is_that_of_evaluate(told: dict[str, Any], tables: dict[str, Rows]) -> None:
    """Of groups with one run, to the last digit that `evaluate` prints."""
    (dataset,) = told["datasets"]
    headings, *rows = tables["How good each ranking is, averaged over users"]
    assert headings[1:] == [metric_name(name) for name in dataset["metrics"]]
    assert {"MRR@10 (RR@10)", "Success@1", "Success@10", "accuracy@10", "NMRR"} <= set(headings)
    by_name = {name: cells for name, *cells in rows}
    alone = {run["group"]: run["metrics"] for run in dataset["runs"] if run["group"] != "A"}
    expected = {
        "chance": alone["B"]["random"],
        "what is popular": alone["B"]["popularity"],
        "what the user searched before": alone["B"]["history"],
        "the best possible (simulated)": alone["B"]["oracle"],
        "A: common model": dataset["groups"][0]["metrics"]["global"],
        "A: own models": dataset["groups"][0]["metrics"]["personal"],
    }
    for letter, metrics in alone.items():
        if letter == "C":  # those of the others are the common one
            expected["C: own models"] = metrics["personal"]
        if metrics["global"] is not None:
            expected[f"{letter}: common model"] = metrics["global"]
    assert by_name.keys() == expected.keys()
    for name, metrics in expected.items():
        assert by_name[name] == [f"{metrics[metric]:.4f}" for metric in dataset["metrics"]]


def test_every_comparison_is_shown_with_its_figures(told: dict[str, Any], tables: dict[str, Rows]) -> None:
    (dataset,) = told["datasets"]
    for kind, caption in (
        ("between", "Own models of every two rankers compared, {}"),
        ("within", "Own models compared with what is not personal, {}"),
    ):
        for metric, family in dataset[kind].items():
            _, *rows = tables[caption.format(metric_name(metric))]
            assert [row[2:5] for row in rows] == [
                [change(pair[name]) for name in ("mean", "low", "high")] for pair in family
            ]
            for row, pair in zip(rows, family, strict=True):
                sure = {"yes, better": pair["p_holm"] <= 0.05, "yes, worse": pair["p_holm"] <= 0.05}
                assert sure.get(row[-1], pair["p_holm"] > 0.05), row
                if row[-1].startswith("yes"):
                    assert row[-1].endswith("better" if pair["mean"] > 0 else "worse")


def test_gains_curves_and_spread_are_shown_whole(told: dict[str, Any], tables: dict[str, Rows]) -> None:
    (dataset,) = told["datasets"]
    _, *rows = tables["What own models gain over what the user searched before: the figures"]
    gains = [row for row in dataset["gains"] if row["against"] == "history"]
    assert [row[3:6] for row in rows] == [[change(g[n]) for n in ("mean", "low", "high")] for g in gains]
    _, *rows = tables["Learning curves: NMRR on validation searches while training went on: the figures"]
    curves = {group["group"]: group["learning"]["curve"]["nmrr"] for group in dataset["groups"]}
    shown = {letter: [row[3] for row in rows if row[0] == letter] for letter in curves}
    assert shown == {letter: [figure(v) for v in values] for letter, values in curves.items()}
    assert shown["D"] == [], "a forest has none"
    _, *rows = tables["NMRR of users, from the worst served to the best served: percentiles"]
    for letter, *cells in rows[:4]:
        (group,) = (group for group in dataset["groups"] if group["group"] == letter)
        assert cells == [figure(v) for v in group["spread"]["percentiles"]["personal"]]
    _, *rows = tables["Users who gain and users who lose"]
    assert sum(int(cell) for cell in rows[0][2:5]) == dataset["users"]


def test_settings_that_differ_are_apart_from_those_that_do_not(tables: dict[str, Rows]) -> None:
    by_name = {
        caption: {row[0]: row[1:] for row in rows[1:]}
        for caption, rows in tables.items()
        if caption.startswith("Settings")
    }
    differ, partly = by_name.values()
    assert differ["algorithm"] == ["persa-fl-me", "fedavg", "local", "pooled"]
    assert differ["ranker"] == ["mlp", "mlp", "mlp", "forest"]
    assert partly["updates"] == ["60", "60", "60", "–"]
    for rows in (differ, partly):
        assert not any("seed" in name for name in rows)


def test_a_page_needs_nothing_but_itself(page: str) -> None:
    tags = Tables(page).tags
    assert not [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe", "object")]
    assert not [attrs for _, attrs in tags if "src" in attrs or any(name.startswith("on") for name in attrs)]
    addresses = [attrs["href"] or "" for tag, attrs in tags if tag == "a"]
    ids = [attrs["id"] for _, attrs in tags if attrs.get("id")]
    assert len(addresses) > 5
    assert {address.removeprefix("#") for address in addresses} <= set(ids)
    assert len(ids) == len(set(ids)), "pictures share no names"
    assert "url(http" not in page


def test_every_picture_has_words_and_a_table(page: str, blocks: list[Block]) -> None:
    tags = Tables(page).tags
    pictures = [attrs for tag, attrs in tags if tag == "svg"]
    charts = [block for block in blocks if isinstance(block, Chart)]
    assert len(pictures) == len(charts) == 7
    for picture, chart in zip(pictures, charts, strict=True):
        assert picture["role"] == "img"
        assert picture["aria-label"] == chart.alternative
        assert re.search(r"\d", chart.alternative), "words without a figure say little"
        assert chart.table.rows
    for tag, attrs in tags:
        assert tag != "th" or attrs["scope"] in ("col", "row")


def test_hostile_names_are_only_text(hostile: Path) -> None:
    """In tables of users who lose; on the page and in Markdown."""
    (judged,) = gather([hostile]).judged
    told = figures.report(gather([hostile]), "test")
    spread = told["datasets"][0]["groups"][0]["spread"]["changes"]
    names = judged.ground.source.dataset.users.column("name").to_pylist()
    loser = {"before": 0.5, "own": 0.25, "difference": -0.25}
    spread["global"]["losers"] = [{"user": name, **loser} for name in names]
    blocks = story(told)
    page = html.page(blocks)
    parsed = Tables(page)
    assert not any(tag == "script" for tag, _ in parsed.tags)
    caption = next(name for name in parsed.found if name.startswith("Who is served worse"))
    shown = [row[0] for row in parsed.found[caption][1:]]
    assert shown == [names[0], names[1].replace("\n", "\\n"), names[2]]
    assert f"<bdi>{names[2]}</bdi>" in page, "a name that turns the writing turns only its own"
    text = markdown.text(blocks)
    assert "<script" not in text.replace("\\<script", "")
    assert tables_of_markdown(text)[caption][1:] == parsed.found[caption][1:]


def test_several_datasets_are_told_one_after_the_other(runs: dict[str, Path], hostile: Path) -> None:
    blocks = story(figures.report(gather([runs["fedavg"], hostile]), "test"))
    page = html.page(blocks)
    assert page.count("<h2") == 3, "two datasets, and how figures are made"
    assert "Dataset 2: simulated data" in page
    assert "never compared with each other" in page


def story_of(told: dict[str, Any]) -> str:
    return markdown.text(story(told))


def test_of_one_user_there_is_a_report_without_intervals(tmp_path: Path) -> None:
    write(simulate(users=1, seed=0), tmp_path / "data")
    for name, lam in (("near", 30.0), ("far", 1.0)):
        settings = resolve({"algorithm": "persa-fl-me", "updates": 20, "evaluations": 0}, {"lam": lam})
        data = tmp_path / "data"
        train_run(settings, data, read(data), tmp_path / name, lambda event: None)
    told = figures.report(gather([tmp_path / "near", tmp_path / "far"]), "test")
    json.dumps(told, allow_nan=False)
    blocks = story(told)
    tables = Tables(html.page(blocks)).found
    assert tables["Own models of every two rankers compared, NMRR"][1][3:] == ["–"] * 4 + [
        "unknown: one user"
    ]
    assert "which may be chance" in markdown.text(blocks)


def test_the_gap_to_the_oracle_is_told_ranker_by_ranker(
    told: dict[str, Any], tables: dict[str, Rows]
) -> None:
    """In the words of `evaluate`; of NMRR averaged over seeds."""
    (dataset,) = told["datasets"]
    nmrr = {group["group"]: group["metrics"]["personal"]["nmrr"] for group in dataset["groups"]}
    gap = dataset["yardsticks"]["oracle"]["nmrr"] - nmrr["A"]
    (rows,) = (
        rows[1:] for caption, rows in tables.items() if caption.startswith("The gap in NMRR between A")
    )
    assert [row[0] for row in rows] == ["B", "C", "D"]
    for letter, words in rows:
        share = 100 * (nmrr[letter] - nmrr["A"]) / gap
        further = f"{-share:.0f} % further from the oracle"
        assert words == (further if share < 0 else f"{share:.0f} % of the gap to the oracle closed")


def test_who_loses_against_history_is_named_where_own_models_are_the_common_one(told: dict[str, Any]) -> None:
    """Ten at most, the hardest hit first."""
    other = deepcopy(told)
    changes = other["datasets"][0]["groups"][1]["spread"]["changes"]
    changes["global"] |= {"losers": [], "gainers": []}
    loser = {"before": 0.9, "own": 0.4, "difference": -0.5}
    changes["history"] |= {"losers": [{"user": f"u{n}", **loser} for n in range(12)], "gainers": []}
    tables = tables_of_markdown(story_of(other))
    who = "Who is served worse by own models of B than by what the user searched before"
    caption = f"{who}: the first 10 of 12 users"
    assert [row[0] for row in tables[caption][1:]] == [f"u{n}" for n in range(10)]
    named = [name for name in tables if name.startswith("Who is served") and " of B " in name]
    assert not any("than by the common model" in name for name in named)


def test_staleness_takes_as_long_as_it_has_values(told: dict[str, Any]) -> None:
    """However large these are: a point for each, and noughts beside it."""
    other = deepcopy(told)
    dataset = other["datasets"][0]
    counts = {"0": 3, "1000000000000": 1}
    dataset["groups"] = dataset["groups"][:1]
    dataset["groups"][0]["learning"]["staleness"] = {"mean": 2.5e11, "max": 10**12, "counts": counts}
    (chart,) = _staleness(dataset)
    assert isinstance(chart, Chart)
    shown = {row["x"]: row["y"] for row in chart.specification["data"]["values"]}
    assert shown == {0: 75, 1: 0, 10**12 - 1: 0, 10**12: 25}


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (lambda told: told["left_out"].append({"run": "runs/x", "why": "it is gone."}), "runs/x"),
        (lambda told: told["datasets"][0].update(missed=3), "In 3 of"),
        (lambda told: told["datasets"][0].update(cold_users=2), "2 users had fewer than 5 searches"),
        (lambda told: told["datasets"][0].update(all_users=21), "1 user more had none"),
        (
            lambda told: told["datasets"][0]["runs"][0]["warnings"].append({"message": "it is worthless"}),
            "it is worthless",
        ),
        (
            lambda told: told["datasets"][0]["groups"][0]["learning"]["problems"].append("line 7 is lost."),
            "line 7 is lost.",
        ),
    ],
)
def test_what_is_wrong_is_said(
    say: Callable[[dict[str, Any]], None], expected: str, told: dict[str, Any]
) -> None:
    other = deepcopy(told)
    say(other)
    assert expected in story_of(other)
    assert expected not in story_of(told)
