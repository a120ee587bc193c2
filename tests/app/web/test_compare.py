"""The page Compare: figures are those of the report, a baseline is pinned, and what is broken is named."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.reports.evidence import figures
from app.reports.evidence.gathering import gather
from app.web.gains import _place
from tests.app.web.conftest import Open

LEFT = "model.safetensors"


@pytest.fixture
def both(prepared: Path) -> list[Path]:
    return [prepared / "persa-fl-ditto", prepared / "fedavg"]


def rows(app: AppTest, caption: str) -> list[list[str]]:
    """The cells of the table with this caption."""
    html = next(e.proto.body for e in app.get("html") if f"<caption>{caption}" in e.proto.body)
    found = re.findall(r"<tr>(.*?)</tr>", html)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in found]


def told_below(app: AppTest) -> str:
    """Captions of tables and charts."""
    html = " ".join(element.proto.body for element in app.get("html"))
    return html + " ".join(caption.value for caption in app.caption)


def damage(run: Path) -> None:
    model = run / LEFT
    model.write_bytes(model.read_bytes() + b"\xff")


def test_figures_and_differences_are_those_of_the_report(
    both: list[Path], tmp_path: Path, open_page: Open
) -> None:
    app = open_page("compare", tmp_path, both)
    assert not app.exception
    assert not app.error
    assert app.multiselect(key="compared").value == ["persa-fl-ditto", "fedavg"]
    told: dict[str, Any] = figures.ranking_of(gather(both), "nmrr")["datasets"][0]
    table = {row[0][0]: row for row in rows(app, "NMRR of users")[1:]}
    assert table["A"][0] == "A: persa-fl-ditto × mlp × listmle (baseline)"
    by = {row["group"]: row for row in told["ranking"]}
    assert table["A"][1] == f"{by['A']['metrics']['nmrr']:.4f}"
    assert table["B"][1] == f"{by['B']['metrics']['nmrr']:.4f}"
    difference = by["B"]["difference"]["nmrr"]
    assert table["B"][4] == f"{difference['mean']:+.4f}"
    assert table["B"][5] == f"{difference['low']:+.4f} to {difference['high']:+.4f}"
    assert table["A"][4:] == [""] * 4
    assert "or the common one where a ranker makes none" in told_below(app)
    assert "All are own models" not in told_below(app), "one is fedavg"
    values = [float(row[1]) for row in rows(app, "NMRR of users")[1:]]
    assert values == sorted(values, reverse=True)


def test_another_baseline_and_another_measure(both: list[Path], tmp_path: Path, open_page: Open) -> None:
    app = open_page("compare", tmp_path, both)
    first = {row[0][0]: row for row in rows(app, "NMRR of users")}
    base = next(box for box in app.selectbox if box.label == "Baseline")
    assert base.value.startswith("A: persa-fl-ditto")
    base.set_value(base.options[1]).run()
    second = {row[0][0]: row for row in rows(app, "NMRR of users")}
    assert float(second["A"][4]) == -float(first["B"][4])
    measure = next(box for box in app.selectbox if box.label == "Measure")
    measure.set_value(measure.options[1]).run()
    assert not app.exception
    mrr = json.loads((both[0] / "report.json").read_text())["result"]["metrics"]["personal"]["mrr@10"]
    assert {row[0][0]: row for row in rows(app, "MRR@10")}["A"][1] == f"{mrr:.4f}"


def test_only_settings_that_differ_are_shown(both: list[Path], tmp_path: Path, open_page: Open) -> None:
    table = rows(open_page("compare", tmp_path, both), "Settings that differ")
    assert table[0] == ["setting", "A", "B"]
    assert table[1] == ["algorithm", "persa-fl-ditto", "fedavg"]
    assert all(row[1] != row[2] for row in table[1:])


def test_a_damaged_run_is_named_and_the_other_is_judged(
    prepared: Path, tmp_path: Path, open_page: Open
) -> None:
    broken = tmp_path / "runs" / "*broken*"
    shutil.copytree(prepared / "fedavg", broken)
    damage(broken)
    app = open_page("compare", tmp_path, [broken, prepared / "fedavg"])
    assert not app.exception
    assert app.warning[0].value == "1 of 2 runs are left out."
    (name, why) = rows(app, "Left out")[1]
    assert name == "runs/*broken*"
    assert why.startswith(f"runs/*broken*/{LEFT}"), "a name of the page, and no path"
    assert rows(app, "NMRR of users")


def test_where_nothing_can_be_judged_the_reasons_are_there(
    prepared: Path, tmp_path: Path, open_page: Open
) -> None:
    broken = tmp_path / "runs" / "broken"
    shutil.copytree(prepared / "fedavg", broken)
    damage(broken)
    app = open_page("compare", tmp_path)
    assert not app.exception
    assert app.warning[0].value == "1 of 1 runs are left out."
    assert LEFT in rows(app, "Left out")[1][1]


def test_nobody_is_left_out_silently(both: list[Path], tmp_path: Path, open_page: Open) -> None:
    app = open_page("compare", tmp_path, both)
    app.multiselect(key="compared").set_value(["fedavg"]).run()
    assert "1 more can be chosen." in [caption.value for caption in app.caption]
    app.multiselect(key="compared").set_value([]).run()
    assert app.info[0].value == "Choose at least one run."
    assert not app.exception


def test_who_gains_counts_every_user(both: list[Path], tmp_path: Path, open_page: Open) -> None:
    app = open_page("compare", tmp_path, both)
    told = next(c.value for c in app.caption if " gain, " in c.value)
    better, worse, same = map(int, re.findall(r"(\d+) users? gain, (\d+) lose, and for (\d+)", told)[0])
    assert better + worse + same == 5
    frame = app.dataframe[0].value
    assert list(frame["User"]) != sorted(frame["User"]), "sorted by change, not by name"
    changes = list(frame["Change of NMRR"])
    assert changes == sorted(changes, reverse=True)
    assert changes == pytest.approx(list(frame["Own model"] - frame["Before"]))
    assert better == sum(change > 0.01 for change in changes)


@pytest.mark.parametrize("place", [0, -1, 6, 10**9, "1", None, 1.0, [1], {"a": 1}])
def test_a_choice_that_no_browser_would_send_chooses_nobody(place: object) -> None:
    people = [{"user": str(number)} for number in range(5)]
    assert _place(place, people) is None
    assert _place(5, people) == 4
