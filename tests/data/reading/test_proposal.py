"""What the columns of a log seem to hold."""

from collections.abc import Sequence

import pytest

from data.reading.proposal import propose


@pytest.mark.parametrize(
    ("names", "row", "found"),
    [
        (["a", "b", "c"], ["x", "1705000000", "git status"], {"time": "b", "user": "a", "query": "c"}),
        (["q", "uid", "ts"], ["1", "2", "1705000000"], {"time": "ts", "user": "uid", "query": "q"}),
        (["x", "x", ""], ["1", "2", "3"], {}),
        (["when", "date"], ["soon", "2024-01-02"], {"time": "date", "user": "when"}),
        ([], [], {}),
    ],
)
def test_columns_are_proposed(names: Sequence[str], row: Sequence[str], found: dict[str, str]) -> None:
    assert propose(names, [row]) == found
