"""A search on a small dataset: who wins and why, that it goes on wherever it was ended, what it refuses."""

import io
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import ranking.building
from app.commands import main
from app.commands.exits import BAD_CONFIG, BAD_DATA, BAD_RUN, OK, USAGE
from app.experiments import tuning
from app.experiments.children import ChildError, Command
from app.runs.evaluation import evaluate
from data.folders import held
from data.simulator import simulate
from data.storage import write
from ranking.metrics import per_user

Cli = Callable[..., Any]
SMALL = ("--config", "small.toml", "--updates")
SHORT = (*SMALL, 40)
NEVER = "--set", "lr=1e-9"
PLANTED = (*SMALL, 80, *NEVER, "--over", "lr=0.05,1e-8,1e30,1e-7,1e-6")
"""One of these learns; one diverges; those like the defaults never leave the start."""


CONFIG = """
run = {evaluations = 1}
ranker = {hidden = [8]}
local = {local_steps = 3}
objective = {personal_steps = 3}
"""


class Ended(BaseException):
    """What no handler of the product takes."""


class Here:
    """Trains in this process, instead of in children; and ends it all before one of the trainings."""

    def __init__(self, last: int | None = None) -> None:
        self.left, self.commands = last, []

    def __call__(
        self,
        commands: Sequence[Command],
        tell: Callable[[str], None],
        *,
        forgiven: Collection[int],
        look: Callable[[], None],
    ) -> dict[int, ChildError]:
        failed = {}
        for number, command in enumerate(commands):
            if self.left == len(self.commands):
                raise Ended
            self.commands.append(command)
            said = io.StringIO()
            with pytest.raises(SystemExit) as ended, redirect_stderr(said), redirect_stdout(io.StringIO()):
                main.main(list(command))
            code = int(ended.value.code or 0)
            assert code == 0 or code in forgiven, said.getvalue()
            if code:
                failed[number] = ChildError("a command", said.getvalue().strip(), code)
            look()
        return failed


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    runner = Here()
    monkeypatch.setattr(tuning.tune, "__defaults__", (*tuning.tune.__defaults__[:-1], runner))
    return runner


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 8 users, for many trainings."""
    out = tmp_path_factory.mktemp("data") / "few"
    write(simulate(users=8, seed=0), out)
    return out


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of short trainings in the working directory."""
    (tmp_path / "small.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tune(cli: Cli, few: Path) -> Callable[..., dict[str, Any]]:
    """The result of a search that ends well."""

    def call(out: Path, *options: object, data: Path = few) -> dict[str, Any]:
        called = cli("tune", "--data", data, "--out", out, "--json", *options)
        assert called.code == OK, called.err
        return {**json.loads(called.out), "said": called.err}

    return call


def files(out: Path) -> dict[str, bytes]:
    """What a search says, byte by byte, and the bits of the runs that it ends with."""
    named = [out / name for name in ("rungs.json", "result.json", "best.toml")]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in (*named, *out.glob("runs/*/model.*"))}


def test_the_one_that_learns_wins_and_the_one_that_diverges_is_out(
    few: Path, tmp_path: Path, tune: Callable[..., Any], cli: Cli, here: Here
) -> None:
    out = tmp_path / "out"
    result = tune(out, *PLANTED)
    assert [c.get("lr") for c in result["candidates"]] == [None, 0.05, 1e-8, 1e30, 1e-7, 1e-6]
    assert result["winner"] == 1
    assert result["verdict"]["beats"] is True
    assert "The winner beats the defaults on test slates: NMRR +" in result["verdict"]["sentence"]
    assert list(result["rungs"][0]["out"]) == ["3"]
    assert "were refused (not finite)" in result["rungs"][0]["out"]["3"]
    assert "Out of the race: lr = 1e+30: the last" in result["said"]

    # from rung to rung: the defaults and the better half, a half further each
    assert [list(r["updates"].values()) for r in result["rungs"]] == [[20] * 6, [40] * 4, [80] * 3]
    assert all(0 in r["goes_on"] and r["goes_on"][0] == 1 for r in result["rungs"])
    assert [command[0] for command in here.commands] == ["train"] * 6 + ["resume"] * 7
    kept = {path.name for path in (out / "runs").iterdir()}
    assert kept == {f"candidate-{c}-seed-0" for c in result["rungs"][-1]["goes_on"]}

    # its settings train to its bits, in one go
    assert cli("train", "--config", out / "best.toml", "--data", few, "--out", tmp_path / "again").code == OK
    for name in ("model.safetensors", "metrics.jsonl", "config.toml"):
        run = out / "runs" / "candidate-1-seed-0"
        assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name

    # test figures are those of `evaluate`
    pair = [out / "runs" / f"candidate-{c}-seed-0" for c in (1, 0)]
    told = json.loads(cli("evaluate", pair[1], pair[0], "--json").out)
    assert result["test"]["defaults"]["personal"] == told["runs"][0]["metrics"]["personal"]
    assert result["test"]["winner"]["personal"] == told["runs"][1]["metrics"]["personal"]
    assert result["test"]["difference"]["nmrr"] == told["differences"][0]["nmrr"]
    assert result["test"]["yardsticks"]["oracle"] == told["runs"][0]["metrics"]["oracle"]

    # a second call trains nothing, and says the same
    trained = len(here.commands)
    again = tune(out, *PLANTED)
    assert {**again, "said": ""} == {**result, "said": ""}
    assert len(here.commands) == trained


def test_seeds_are_averaged(few: Path, tmp_path: Path, tune: Callable[..., Any], cli: Cli) -> None:
    """On validation by what users would get, and on test by users whom every seed has seen."""
    out = tmp_path / "out"
    result = tune(out, *SHORT, "--seeds", "0,3", "--over", "lr=0.02,0.1,0.4,0.6")
    first, *_, last = result["rungs"]
    assert all(len(figures) == 2 for figures in first["validation_nmrr"].values())
    means = {int(c): fmean(figures) for c, figures in last["validation_nmrr"].items()}
    assert last["goes_on"] == sorted(means, key=lambda c: -means[c])
    runs = {(c, s): out / "runs" / f"candidate-{c}-seed-{s}" for c in means for s in (0, 3)}
    for (candidate, seed), run in runs.items():
        (judged,) = evaluate([run], few, "validation")
        own = float(per_user(judged.personal["nmrr"], judged.ground.slates.user)[1].mean())
        assert last["validation_nmrr"][str(candidate)][(0, 3).index(seed)] == pytest.approx(own, abs=1e-9)
    best = result["winner"]
    assert best, "or there is nothing to compare"
    judged = evaluate([runs[best, 0], runs[best, 3], runs[0, 0], runs[0, 3]], few, "test")
    own = [float(per_user(j.personal["nmrr"], j.ground.slates.user)[1].mean()) for j in judged]
    gain = result["test"]["difference"]["nmrr"]
    assert gain["mean"] == pytest.approx((own[0] + own[1] - own[2] - own[3]) / 2)
    assert gain["low"] < gain["mean"] < gain["high"]
    assert result["test"]["winner"]["personal"]["nmrr"] == pytest.approx(fmean(own[:2]))
    assert "seed = 0" in (out / "best.toml").read_text()


def test_test_slates_are_read_only_in_the_end(
    tmp_path: Path, tune: Callable[..., Any], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []
    rows = ranking.building.split_rows

    def watched(dataset: Any, split: str) -> Any:
        read.append((split, len(here.commands)))
        return rows(dataset, split)

    monkeypatch.setattr(ranking.building, "split_rows", watched)
    tune(tmp_path / "out", *PLANTED)
    assert {split for split, _ in read} == {"train", "validation", "test"}
    assert {trained for split, trained in read if split == "test"} == {13}, "all trainings had ended"
    chosen = (tmp_path / "out" / "best.toml").read_bytes()
    (tmp_path / "out" / "result.json").unlink()
    monkeypatch.setattr("app.experiments.winner.prepare", None)
    with pytest.raises(AssertionError, match="unexpected TypeError"):
        tune(tmp_path / "out", *PLANTED)
    assert (tmp_path / "out" / "best.toml").read_bytes() == chosen, "which is known without them"


def test_ended_before_any_training_it_goes_on_to_the_same_bits(
    few: Path, tmp_path: Path, tune: Callable[..., Any], here: Here
) -> None:
    options = (*SHORT, "--over", "lr=0.2,0.02,0.1")
    tune(tmp_path / "whole", *options)
    whole, trainings = files(tmp_path / "whole"), len(here.commands)
    out = tmp_path / "out"
    for _ in range(trainings - 1):
        here.commands.clear()
        here.left = 1  # one more each time
        with pytest.raises(Ended):
            main.main(["tune", f"--data={few}", f"--out={out}", "--json", *map(str, options)])
        assert not (out / "result.json").exists()
    here.left = None
    tune(out, *options)
    assert files(out) == whole


def test_defaults_that_diverge_are_said_to(tmp_path: Path, tune: Callable[..., Any]) -> None:
    result = tune(tmp_path / "out", *SMALL, 80, "--set", "lr=1e30", "--over", "lr=0.02,0.05")
    assert "Out of the race: the defaults: the last" in result["said"]
    assert result["winner"] in (1, 2)
    assert result["verdict"]["beats"] is None
    assert "The defaults have diverged" in result["verdict"]["sentence"]


def test_own_models_that_are_lost_are_out_of_the_race(tmp_path: Path, tune: Callable[..., Any]) -> None:
    options = ("--algorithm", "reptile", "--updates", 40, "--set", "adapt_steps=2")
    result = tune(tmp_path / "out", *options, "--over", "adapt_lr=1e9,0.01")
    assert result["rungs"][0]["out"] == {
        "1": "the own models of 8 users are not finite; what they are made from ranks instead."
    }


def test_where_all_diverge_there_is_no_winner(few: Path, tmp_path: Path, cli: Cli) -> None:
    options = (*SMALL, 80, "--set", "lr=1e30", "--over", "lr=1e29,1e28")
    called = cli("tune", "--data", few, "--out", tmp_path / "out", *options)
    assert called.code == BAD_CONFIG
    assert "persarank: no candidate is left. the last" in called.err.splitlines()[-1]


def test_the_defaults_may_win(tmp_path: Path, tune: Callable[..., Any]) -> None:
    result = tune(tmp_path / "out", *SHORT, "--set", "lr=0.05", "--over", "lr=1e-9,1e-8")
    assert result["winner"] == 0
    assert result["verdict"] == {
        "beats": False,
        "sentence": "No candidate beats the defaults on validation slates.",
    }
    assert result["test"]["difference"] is None
    assert result["test"]["winner"]["personal"]["nmrr"] > 0.7


def test_algorithms_and_trees_in_one_search(tmp_path: Path, tune: Callable[..., Any], here: Here) -> None:
    options = ("--over", "algorithm=pooled,local,fedavg", "--over", "ranker=forest,mlp")
    options += ("--over", "n_estimators=3", "--updates", 20)
    result = tune(tmp_path / "out", *options)
    assert {"algorithm": "pooled", "ranker": "forest", "n_estimators": 3} in result["candidates"]
    assert {"algorithm": "fedavg", "ranker": "forest", "n_estimators": 3} not in result["candidates"]
    assert "algorithm = fedavg, ranker = forest, n_estimators = 3: forest is fitted" in result["said"]
    fitted = [command for command in here.commands if not any(w.startswith("--until") for w in command)]
    assert len(fitted) == 2
    assert {command[0] for command in fitted} == {"train"}, "once each"


def test_what_is_printed_for_people(few: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    called = cli("tune", "--data", few, "--out", out, *PLANTED, "--over", "loss=bce,softmax")
    assert called.code == OK, called.err
    for part in (
        "Users' own models on validation slates, NMRR, after parts of a full training",
        "the defaults",
        "Out of the race: lr = 1e+30, loss = bce: the last",
        "on test: ",
        " winner, ",
        "winner − defaults, personal nmrr over users: +",
        "The winner beats the defaults on test slates",
        f"persarank train --config {out}/best.toml --data",
    ):
        assert part in called.out, part
    assert "at most" in called.err
    assert "client updates." in called.err


# what is refused


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
@pytest.mark.parametrize("content", ["", "{", "3", "null"])
def test_damaged_records_are_named(
    name: str, content: str, begun: Path, few: Path, cli: Cli, here: Here
) -> None:
    (begun / name).write_text(content)
    here.left = None
    called = cli("tune", "--data", few, "--out", begun, *PLANTED)
    refused(called, BAD_RUN, f"{begun / name} is damaged: choose another --out.")


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


def test_a_search_around_the_talk(tmp_path: Path, tune: Callable[..., Any]) -> None:
    options = ("--preset", "talk", "--updates", 20, "--budget", 60)
    result = tune(tmp_path / "out", *options)
    assert len(result["candidates"]) == 3
    best = (tmp_path / "out" / "candidates" / "0.toml").read_text()
    assert "server_lr = 0.125" in best
    assert result["candidates"][0] == {}
