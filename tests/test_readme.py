"""What the READMEs say of the tables is what they hold, and their links lead somewhere."""

import doctest
import re
from itertools import product
from pathlib import Path

import pytest

from federated.algorithms import ALGORITHMS
from ranking.rankers import RANKERS

ROOT = Path(__file__).resolve().parents[1]


def rows(folder: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with this head, in the README of a folder."""
    text = (ROOT / folder / "README.md").read_text()
    table = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_algorithms() -> None:
    assert rows("federated", "| `--algorithm` |") == [
        [f"`{name}`", *row.cell, row.source] for name, row in ALGORITHMS.items()
    ]


def test_the_table_of_rankers() -> None:
    told = {
        name: tuple(re.findall(r"`(.+?)`", losses))
        for names, losses, _ in rows("ranking", "| `--ranker` |")
        for name in re.findall(r"`(.+?)`", names)
    }
    assert told == {name: row.losses for name, row in RANKERS.items()}


@pytest.mark.parametrize("folder", [".", "data", "ranking", "federated", "app"])
def test_links_and_pictures_are_there(folder: str) -> None:
    place = ROOT / folder
    for link in re.findall(r"\]\(([^)#:]+)\)", (place / "README.md").read_text()):
        assert (place / link).is_file(), link


def test_the_example_from_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a log in which ann and ben have favourites that begin alike."""
    monkeypatch.chdir(tmp_path)
    favourites = {"ann": ("hexagon", "hello"), "ben": ("hello", "helium")}
    rows = [
        f"{user},2026-01-{day:02} {10 + at}:00,{queries[at > 1]}"
        for (user, queries), day, at in product(favourites.items(), range(1, 15), range(3))
    ]
    Path("searches.csv").write_text("\n".join(["user_id,ts,q", *rows]))
    found = doctest.testfile(str(ROOT / "app/README.md"), module_relative=False)
    assert found.attempted >= 7
    assert found.failed == 0
