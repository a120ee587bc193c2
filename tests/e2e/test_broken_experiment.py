"""An experiment one of whose runs is broken says so before it begins anything."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.commands.exits import BAD_MODEL, BAD_RUN
from app.experiments import grid, memrl, navigation, pars_push, workspace
from app.runs.directory import open_started
from tests.e2e.crashes import METRICS, MODEL, Cli, assert_sentence, checkpoints

SMALL = grid.Scale(users=20, seeds=(0,), updates=40, evaluations=4)


def spoil(path: Path) -> None:
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + b"\x00" + content[half:])  # one more byte: some are zero already


def no_run(place: Path) -> None:
    (place / "config.toml").rename(place / "NOTES.md")


def a_file(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("")


def without_checkpoints(place: Path) -> None:
    for path in checkpoints(place):
        spoil(path)


def of_other_data(place: Path) -> None:
    config = (place / "config.toml").read_text()
    at = config.index("fingerprint = ") + len('fingerprint = "')
    (place / "config.toml").write_text(config[:at] + "0123456789abcdef" + config[at + 16 :])


BROKEN: dict[str, tuple[str, Callable[[Path], object], int, str]] = {
    "the config is damaged": ("crashed", lambda run: spoil(run / "config.toml"), BAD_RUN, "broken run"),
    "no run": ("crashed", no_run, BAD_RUN, "is not a run directory"),
    "a file": ("crashed", a_file, BAD_RUN, "is not a run directory"),
    "checkpoints": ("crashed", without_checkpoints, BAD_RUN, "all 2 are damaged"),
    "other data": ("crashed", of_other_data, BAD_RUN, "0123456789abcdef"),
    "other data, finished": ("whole", of_other_data, BAD_RUN, "0123456789abcdef"),
    "the summary is damaged": ("whole", lambda run: spoil(run / "summary.json"), BAD_RUN, "broken run"),
    "the model is damaged": ("whole", lambda run: spoil(run / MODEL), BAD_MODEL, "its checksum differs"),
    "the model is gone": ("whole", lambda run: (run / MODEL).unlink(), BAD_MODEL, "is missing"),
    "the metrics are damaged": ("whole", lambda run: spoil(run / METRICS), BAD_RUN, "is damaged in line"),
    "the metrics are gone": ("whole", lambda run: (run / METRICS).unlink(), BAD_RUN, "cannot be read"),
}


@pytest.fixture
def nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*arguments: object) -> None:
        raise AssertionError("something was begun")

    for experiment in (grid, memrl, pars_push):
        monkeypatch.setattr(experiment, "run_all", begin)
    monkeypatch.setattr(navigation, "reproduce", begin)
    monkeypatch.setattr(pars_push.rasgp, "reproduce", begin)


@pytest.mark.usefixtures("nothing_begins")
@pytest.mark.parametrize("case", BROKEN)
def test_it_is_told_at_once(
    case: str,
    tiny: Path,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    like, damage, code, sentence = BROKEN[case]
    monkeypatch.setattr(grid, "EXPERIMENT", replace(grid.EXPERIMENT, quick=SMALL))
    shutil.copytree(tiny, tmp_path / "data" / "simulated-0")
    place = tmp_path / "runs" / "simulated" / f"{grid.SERVED[-1]}-0"
    shutil.copytree(request.getfixturevalue(like), place)
    wanted = open_started(place).settings
    monkeypatch.setattr(workspace, "resolve", lambda options, sets: wanted)
    damage(place)
    assert_sentence(cli("reproduce", "persa-fl", "--quick", "--out", tmp_path), code, sentence, str(place))


@pytest.mark.usefixtures("nothing_begins")
@pytest.mark.parametrize(("experiment", "run"), [("pars-push", "per-fedavg-0"), ("memrl", "persa-fl-me-0")])
def test_also_before_what_is_not_trained(
    experiment: str, run: str, tiny: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Navigation and RASGP's table, which take long, come first in their experiments."""
    monkeypatch.setattr(
        memrl, "EXPERIMENT", replace(memrl.EXPERIMENT, quick=memrl.Scale(seeds=(0,), users=20))
    )
    monkeypatch.setattr(
        pars_push, "EXPERIMENT", replace(pars_push.EXPERIMENT, quick=pars_push.Scale(seeds=(0,), users=20))
    )
    monkeypatch.setattr(pars_push, "REFERENCES", ("per-fedavg",))
    shutil.copytree(tiny, tmp_path / "data" / "simulated-0")
    (tmp_path / "runs" / run).mkdir(parents=True)
    (tmp_path / "runs" / run / "config.toml").write_text("[run")
    assert_sentence(cli("reproduce", experiment, "--quick", "--out", tmp_path), BAD_RUN, run)


def test_what_a_kill_left_of_a_run_that_had_not_begun_is_no_obstacle(tmp_path: Path, tiny: Path) -> None:
    from app.experiments.workspace import missing

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml.partial").write_text("[run")
    command = missing(tmp_path / "run", tiny, {"seed": 3})
    assert command == ["train", "--json", f"--out={tmp_path / 'run'}", f"--data={tiny}", "--seed=3"]
