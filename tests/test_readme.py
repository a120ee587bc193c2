"""What the README says of the tables is what they hold."""

import re
from pathlib import Path

from federated.algorithms import ALGORITHMS
from ranking.rankers import RANKERS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins with this head."""
    table = README[README.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_algorithms() -> None:
    assert rows("| `--algorithm` |") == [
        [f"`{name}`", *row.cell, row.source] for name, row in ALGORITHMS.items()
    ]


def test_the_table_of_rankers() -> None:
    told = {
        name: tuple(re.findall(r"`(.+?)`", losses))
        for names, losses, _ in rows("| `--ranker` |")
        for name in re.findall(r"`(.+?)`", names)
    }
    assert told == {name: row.losses for name, row in RANKERS.items()}
