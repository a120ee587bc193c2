"""The commands `report` and `compare`: their figures are those of `evaluate`, and nothing is lost."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.reports.comparison import tables
from app.reports.evidence import gathering
from app.reports.evidence.figures import ranking_of
from app.reports.evidence.gathering import Gathered
from app.reports.pages.html import MARK
from tests.app.commands.test_cli_errors import BAD_RUN, USAGE, Cli
from tests.app.reports.test_layout import drawn, words

OK = 0


def figures(cli: Cli, *arguments: object) -> Any:
    called = cli(*arguments, "--json")
    assert called.code == OK, called.err
    return json.loads(called.out)


def test_every_figure_of_a_run_is_that_of_evaluate(cli: Cli, copies: dict[str, Path]) -> None:
    told = figures(cli, "report", *copies.values())
    (dataset,) = told["datasets"]
    assert not list(copies["fedavg"].glob("report.json")), "a report writes nothing into runs"
    evaluated = figures(cli, "evaluate", *copies.values())
    for run, expected in zip(dataset["runs"], evaluated["runs"], strict=True):
        assert {name: run[name] for name in expected} == expected
    assert dataset["differences"] == evaluated["differences"]


def test_a_page_is_written_and_the_bad_run_named_everywhere(
    cli: Cli, copies: dict[str, Path], tmp_path: Path
) -> None:
    (copies["me-0"] / "summary.json").write_text("{")
    page = tmp_path / "new" / "report.html"
    called = cli("report", *copies.values(), "--out", page)
    assert called.code == OK
    assert called.out == f"Reported 4 of 5 runs in {page}.\n"
    assert str(copies["me-0"]) in called.err
    assert "is a broken run directory" in called.err
    assert "is a broken run directory" in page.read_text()
    both = cli("report", *copies.values(), "--out", page, "--markdown")
    assert both.out.startswith("# How good are these rankers?\n")
    assert "is a broken run directory" in both.out
    told = figures(cli, "report", *copies.values(), "--out", page)
    assert [left["run"] for left in told["left_out"]] == [str(copies["me-0"])]


def test_with_no_run_left_nothing_is_written(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    called = cli("report", tmp_path / "a", tmp_path / "b", "--out", page)
    assert called.code == BAD_RUN
    assert called.err.count("left out:") == 2
    assert "none of the runs can be judged" in called.err
    assert not page.exists()


def test_only_a_report_is_written_over(cli: Cli, copies: dict[str, Path], tmp_path: Path) -> None:
    letter = tmp_path / "letter.html"
    letter.write_text("<p>Dear all</p>")
    for place in (letter, tmp_path, copies["fedavg"] / "model.safetensors"):
        before = place.read_bytes() if place.is_file() else None
        called = cli("report", copies["fedavg"], "--out", place)
        assert called.code == USAGE
        assert "exists and is no report" in called.err
        assert before is None or place.read_bytes() == before
    older = tmp_path / "older.html"
    older.write_text(f"<html><head>{MARK}</head></html>")
    assert cli("report", copies["fedavg"], "--out", older).code == OK
    assert "fedavg" in older.read_text()


def test_a_page_that_cannot_be_written_is_refused_before_any_run_is_judged(
    cli: Cli, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letter").write_text("Dear all")
    monkeypatch.setattr(gathering, "gather", lambda *arguments: pytest.fail("judged in vain"))
    for place in (tmp_path / "letter" / "report.html", tmp_path / "letter" / "new" / "report.html"):
        called = cli("report", runs["fedavg"], "--out", place)
        assert called.code == USAGE
        assert "cannot be written" in " ".join(called.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["letter"], "no trial is left"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name the page with --out"),
        (["--json", "--markdown"], "cannot be printed at once"),
        (["--json", "--split", "future"], "--split is one of train, validation, test"),
    ],
)
def test_wrong_use_of_report(cli: Cli, runs: dict[str, Path], arguments: list[str], says: str) -> None:
    called = cli("report", runs["fedavg"], *arguments)
    assert called.code == USAGE
    assert says in " ".join(called.err.split())


def test_runs_are_ranked_beside_the_pinned_baseline(cli: Cli, runs: dict[str, Path]) -> None:
    told = figures(cli, "compare", *runs.values(), "--baseline", runs["local"], "--by", "mrr@10")
    (dataset,) = told["datasets"]
    ranking = dataset["ranking"]
    assert len(ranking) == 4, "two seeds are one ranker"
    values = [row["metrics"]["mrr@10"] for row in ranking]
    assert values == sorted(values, reverse=True)
    assert [row["label"].split(" ")[0] for row in ranking if row["baseline"]] == ["local"]
    evaluated = figures(cli, "evaluate", runs["local"], runs["fedavg"])
    row = next(row for row in ranking if row["label"].startswith("fedavg"))
    assert row["metrics"] == pytest.approx(evaluated["runs"][1]["metrics"]["personal"])
    (expected,) = evaluated["differences"]
    for metric in ("nmrr", "mrr@10"):
        difference = row["difference"][metric]
        assert {name: difference[name] for name in expected[metric]} == pytest.approx(expected[metric])
    family = [row["difference"]["nmrr"] for row in ranking if not row["baseline"]]
    surest = min(family, key=lambda difference: difference["p"])
    assert surest["p_holm"] == pytest.approx(min(1, 3 * surest["p"])), "of three comparisons"
    assert set(dataset["settings"]["algorithm"].values()) == {"persa-fl-me", "fedavg", "local", "pooled"}


def test_the_ranking_as_people_see_it(cli: Cli, runs: dict[str, Path], tmp_path: Path) -> None:
    called = cli("compare", runs["fedavg"], runs["me-0"], tmp_path / "gone")
    assert called.code == OK
    said = " ".join(called.out.split())
    assert "(baseline)" in said
    assert "what the user searched before" in said
    assert "Settings that differ" in said
    assert f"Left out: {tmp_path / 'gone'}" in said
    assert str(tmp_path / "gone") in called.err


def test_a_baseline_that_was_not_named_takes_part(cli: Cli, runs: dict[str, Path]) -> None:
    told = figures(cli, "compare", runs["fedavg"], "--baseline", runs["local"])
    assert len(told["datasets"][0]["ranking"]) == 2


def test_another_cut_off_names_all_metrics(cli: Cli, runs: dict[str, Path], tmp_path: Path) -> None:
    told = figures(cli, "report", runs["fedavg"], runs["local"], "--cutoff", 3, "--out", tmp_path / "r.html")
    (dataset,) = told["datasets"]
    evaluated = figures(cli, "evaluate", runs["fedavg"], runs["local"], "--cutoff", 3)
    assert dataset["groups"][0]["metrics"]["personal"] == evaluated["runs"][0]["metrics"]["personal"]
    assert list(dataset["between"]) == ["nmrr", "mrr@3"]
    assert "MRR@3 (RR@3)" in (tmp_path / "r.html").read_text()
    assert "@10" not in (tmp_path / "r.html").read_text()
    told = figures(cli, "compare", runs["fedavg"], runs["local"], "--cutoff", 3, "--by", "success@3")
    assert set(told["datasets"][0]["ranking"][0]["difference"]) == {"success@3", "nmrr", "mrr@3"}


def test_rankers_of_others_features_are_reported_without_what_needs_a_log(cli: Cli, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    lines = []
    for query in range(90):
        for place, grade in enumerate(draw.permutation([2, 1, 0, 0, 0])):
            values = f"1:{grade + draw.normal():.3f} 2:{draw.normal():.3f}"
            lines.append(f"{grade} qid:{query} {values} # user:{'abc'[query % 3]} {place}")
    (tmp_path / "letor.txt").write_text("\n".join(lines) + "\n")
    assert cli("data", "import-features", tmp_path / "letor.txt", "--out", tmp_path / "data").code == OK
    for seed in (0, 1):
        place = tmp_path / f"run-{seed}"
        trained = cli(
            "train", "--data", tmp_path / "data", "--algorithm", "fedavg", "--updates", 20, "--seed", seed,
            "--out", place,
        )  # fmt: skip
        assert trained.code == OK, trained.err
    page = tmp_path / "report.html"
    told = figures(cli, "report", tmp_path / "run-0", tmp_path / "run-1", "--out", page)
    (dataset,) = told["datasets"]
    assert dataset["yardsticks"]["history"] is None
    assert {row["axis"] for row in dataset["gains"]} == {"pool"}
    assert [row["user"] for row in dataset["users_by_name"]] == ["a", "b", "c"]
    assert "what the user searched before" not in page.read_text()
    for word in ("typed", "searches", "search by"):
        assert not re.search(rf"\b{word}\b", page.read_text()), f"of queries without a text: {word}"
    assert "queries of 3 users" in page.read_text()
    assert cli("compare", tmp_path / "run-0", tmp_path / "run-1").code == OK


def test_without_its_baseline_nothing_is_compared(cli: Cli, copies: dict[str, Path]) -> None:
    (copies["local"] / "summary.json").unlink()
    called = cli("compare", copies["fedavg"], copies["forest"], "--baseline", copies["local"])
    assert called.code == BAD_RUN
    assert "the baseline cannot be judged" in called.err
    by_default = figures(cli, "compare", copies["local"], copies["fedavg"], copies["forest"])
    (dataset,) = by_default["datasets"]
    (base,) = (row for row in dataset["ranking"] if row["baseline"])
    assert base["runs"] == [str(copies["fedavg"])], "else it is the first that can be judged"


def test_an_unknown_metric_is_refused(cli: Cli, runs: dict[str, Path]) -> None:
    called = cli("compare", runs["fedavg"], "--by", "beauty")
    assert called.code == USAGE
    assert "--by is one of accuracy@10" in " ".join(called.err.split())


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_ranking_shows_every_figure_on_terminals_of_any_width(
    told_of_two: dict[str, Any], width: int
) -> None:
    text = drawn(width, lambda console: tables(told_of_two, console))
    shown = words(text)
    (dataset,) = told_of_two["datasets"]
    for row in dataset["ranking"]:
        assert f"{row['metrics']['nmrr']:.4f}" in shown
        difference = row["difference"]["nmrr"]
        for name in ("mean", "low", "high") if difference else ():
            assert f"{difference[name]:+.4f}" in shown
    for metrics in dataset["yardsticks"].values():
        assert f"{metrics['nmrr']:.4f}" in shown
    assert "…" not in text


@pytest.fixture
def told_of_two(gathered: Gathered) -> dict[str, Any]:
    return ranking_of(gathered, "nmrr")
