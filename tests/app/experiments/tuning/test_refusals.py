"""What a search refuses, and that it leaves what it finds as it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.commands import main
from app.commands.exits import BAD_CONFIG, BAD_DATA, BAD_RUN, OK, USAGE
from data.folders import held
from tests.app.experiments.tuning.searching import PLANTED, SHORT, Ended, Here

Cli = Callable[..., Any]


@pytest.fixture
def begun(few: Path, tmp_path: Path, here: Here) -> Path:
    """A search that has just begun."""
    here.left = 1
    with pytest.raises(Ended):
        main.main(["tune", f"--data={few}", f"--out={tmp_path / 'out'}", *map(str, PLANTED)])
    return tmp_path / "out"


def refused(called: Any, code: int, *parts: str) -> None:
    assert called.code == code, called.err
    for part in parts:
        assert part in called.err.splitlines()[-1]


def test_other_arguments_are_refused(begun: Path, few: Path, tmp_path: Path, cli: Cli) -> None:
    before = files_of(begun)
    same = ("tune", "--out", begun, "--data", few)
    refused(
        cli(*same, *PLANTED, "--seeds", "0-1"), BAD_RUN, "holds a search with other seeds: choose another"
    )
    refused(cli(*same, *PLANTED, "--budget", 10**6), BAD_RUN, "with other budget")
    refused(cli(*same, *PLANTED, "--set", "batch_size=2"), BAD_RUN, "with other settings")
    refused(cli(*same, *PLANTED, "--over", "loss=bce,mse"), BAD_RUN, "with other candidates")
    other = tmp_path / "other"
    assert cli("data", "simulate", "--out", other, "--users", 5, "--seed", 1).code == OK
    refused(cli("tune", "--out", begun, "--data", other, *PLANTED), BAD_RUN, "with other data")
    assert files_of(begun) == before


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_something_else_is_left_alone(few: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "NOTES.md").write_text("mine")
    for out in (tmp_path / "mine", few, tmp_path / "mine" / "NOTES.md"):
        before = files_of(out.parent)
        refused(cli("tune", "--data", few, "--out", out, *PLANTED), BAD_RUN, "choose another --out")
        assert files_of(out.parent) == before


def test_two_at_once_are_refused(begun: Path, few: Path, cli: Cli) -> None:
    with held(begun):
        refused(cli("tune", "--data", few, "--out", begun, *PLANTED), BAD_RUN, "in use by another process")


def test_a_run_that_was_trained_further_is_not_judged_beside_the_others(
    begun: Path, few: Path, cli: Cli, here: Here
) -> None:
    run = begun / "runs" / "candidate-0-seed-0"
    assert cli("resume", run).code == OK
    here.left = None
    called = cli("tune", "--data", few, "--out", begun, *PLANTED)
    refused(called, BAD_RUN, f"{run} has been trained further than this rung: remove it")
    shutil.rmtree(run)
    assert cli("tune", "--data", few, "--out", begun, *PLANTED).code == OK


def test_a_run_of_other_settings_is_refused(begun: Path, few: Path, cli: Cli, here: Here) -> None:
    run = begun / "runs" / "candidate-0-seed-0"
    shutil.rmtree(run)
    assert cli("train", "--data", few, "--out", run, *SHORT).code == OK
    here.left = None
    called = cli("tune", "--data", few, "--out", begun, *PLANTED)
    refused(called, BAD_RUN, "holds a run with other settings")


@pytest.mark.parametrize("name", ["tune.json", "rungs.json"])
@pytest.mark.parametrize("content", ["", "{", "3", "null", "[{}]", '[{"goes_on": [7]}]', "[1]"])
def test_damaged_records_are_named(
    name: str, content: str, begun: Path, few: Path, cli: Cli, here: Here
) -> None:
    (begun / name).write_text(content)
    here.left = None
    called = cli("tune", "--data", few, "--out", begun, *PLANTED)
    refused(called, BAD_RUN, f"{begun / name} is damaged: choose another --out.")


def test_damaged_records_cost_no_run(begun: Path, few: Path, cli: Cli, here: Here) -> None:
    """Not even where they say that a candidate who is not there goes on."""
    here.left = None
    same = ("tune", "--data", few, "--out", begun, *PLANTED)
    assert cli(*same).code == OK
    rungs, result = (begun / "rungs.json").read_bytes(), (begun / "result.json").read_bytes()
    (begun / "result.json").write_text("{}")
    refused(cli(*same), BAD_RUN, f"{begun / 'result.json'} is damaged: choose another --out.")
    (begun / "result.json").unlink()
    (begun / "rungs.json").write_text('[{"updates": {}, "validation_nmrr": {}, "out": {}, "goes_on": [7]}]')
    before = files_of(begun / "runs")
    refused(cli(*same), BAD_RUN, f"{begun / 'rungs.json'} is damaged: choose another --out.")
    assert files_of(begun / "runs") == before
    (begun / "rungs.json").write_bytes(rungs)
    assert cli(*same).code == OK
    assert (begun / "result.json").read_bytes() == result


def test_what_a_config_sets_is_not_searched(few: Path, tmp_path: Path, cli: Cli, here: Here) -> None:
    """As little as what --set sets."""
    (tmp_path / "c.toml").write_text('[run]\nloss = "bce"\n[local]\nlr = 0.01\n')
    here.left = 1
    with pytest.raises(Ended):
        main.main(["tune", f"--data={few}", f"--out={tmp_path / 'out'}", f"--config={tmp_path / 'c.toml'}"])
    searched = {
        name
        for changed in json.loads((tmp_path / "out" / "tune.json").read_text())["candidates"]
        for name in changed
    }
    assert "server_lr" in searched
    assert not searched & {"loss", "lr"}


def test_without_validation_slates_nothing_can_be_chosen(
    begun: Path, few: Path, cli: Cli, here: Here
) -> None:
    summary = begun / "runs" / "candidate-0-seed-0" / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"validation_nmrr": {}}))
    here.left = None
    called = cli("tune", "--data", few, "--out", begun, *PLANTED)
    refused(called, BAD_DATA, f"{few}: no user has validation slates, by which to choose.")


@pytest.mark.parametrize("seeds", ["", "-1", "1-", "2-0", "a", "0,,1", "0-1000", "1.5", str(2**32)])
def test_seeds_that_are_none(seeds: str, few: Path, tmp_path: Path, cli: Cli) -> None:
    called = cli("tune", "--data", few, "--out", tmp_path / "out", f"--seeds={seeds}")
    assert called.code == USAGE
    assert "--seeds" in called.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (("--over", "lrr=1,2"), BAD_CONFIG, "did you mean 'lr'?"),
        (("--over", "lr"), BAD_CONFIG, "write key=value,value"),
        (("--budget", 0), USAGE, "0 is not in the range"),
        (("--budget", 100), BAD_CONFIG, "--budget 100 is too small for 2 candidates"),
        (("--algorithm", "fedavgg"), BAD_CONFIG, "did you mean 'fedavg'?"),
        (("--preset", "tlk"), BAD_CONFIG, "did you mean 'talk'?"),
    ],
)
def test_nonsense_writes_nothing(
    options: tuple[object, ...], code: int, part: str, few: Path, tmp_path: Path, cli: Cli
) -> None:
    called = cli("tune", "--data", few, "--out", tmp_path / "out", *options)
    assert called.code == code
    assert part in called.err
    assert not (tmp_path / "out").exists()


def test_updates_of_trees_are_refused_unless_a_network_takes_part(
    few: Path, tmp_path: Path, cli: Cli
) -> None:
    asked = (
        "tune",
        "--data",
        few,
        "--out",
        tmp_path / "out",
        "--ranker",
        "lightgbm",
        "--algorithm",
        "pooled",
    )
    called = cli(*asked, "--updates", 100, "--over", "learning_rate=0.05,0.1")
    refused(called, BAD_CONFIG, "lightgbm is fitted in one piece, not update by update: leave out --updates.")
    assert not (tmp_path / "out").exists()
