"""`--privacy`, `--attack`, `--defence` and `--compress`, and what a run promises by them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.commands.exits import BAD_CONFIG, BAD_RUN, USAGE
from app.runs.checks import ConfigError
from app.runs.directory import CHECKPOINTS
from app.runs.given import parse_overrides
from app.runs.settings import resolve
from app.runs.training import train_run
from data.storage import read
from federated import checkpoint
from federated.keeping import BEST, LAST
from federated.training import Training

Cli = Callable[..., Any]

COHORT = ("--algorithm", "fedavg", "--set", "cohort=20")
FEW = ("--updates", 40, "--evaluations", 0, "--json")


def trained(cli: Cli, data: Path, out: Path, *options: object) -> dict[str, Any]:
    done = cli("train", "--data", data, "--out", out, *FEW, *options)
    assert done.code == 0, done.err
    summary: dict[str, Any] = json.loads(done.out)
    return summary


@pytest.fixture(scope="module")
def private(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private run."""
    settings = resolve(
        {"algorithm": "fedavg", "updates": 40, "evaluations": 0},
        {"cohort": 20, "privacy.epsilon": 2, "privacy.delta": 1e-3},
    )
    out = tmp_path_factory.mktemp("private") / "run"
    train_run(settings, tiny, read(tiny), out, lambda event: None)
    return out


def test_words_behind_an_option_are_its_hyper_parameters(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    options = (
        ("--privacy", "epsilon=4", "delta=1e-2", "clip=.5", "--seed", 3),
        ("--seed", 3, "--privacy", "epsilon=4 delta=1e-2,clip=.5"),
        ("--seed", 3, "--privacy", "epsilon=4", "--privacy", "delta=.01", "--set", "privacy.clip=0.5"),
    )
    configs = []
    for number, words in enumerate(options):
        trained(cli, tiny, tmp_path / str(number), *COHORT, *words)
        configs.append((tmp_path / str(number) / "config.toml").read_text())
    assert len(set(configs)) == 1
    assert "[privacy]\nepsilon = 4.0\ndelta = 0.01\nclip = 0.5\n" in configs[0]
    assert 'keep = "last"' in configs[0]
    assert 'shares = "equal"' in configs[0]


def test_a_private_run_says_what_it_promises(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    words = ("--privacy", "epsilon=2", "delta=1e-3", "clip=0.5")
    summary = trained(cli, tiny, tmp_path / "run", *COHORT, *words)
    private = summary["privacy"]
    assert (private["participations"], private["most_participations"], private["merges"]) == (2, 2, 2)
    assert private["spent_epsilon"] == pytest.approx(2)
    told = cli("privacy", tmp_path / "run")
    said = " ".join(told.out.split())
    for words in (
        "epsilon = 2, delta = 0.001: client-level differential privacy",
        "2 merges of a user at most",
        "no amplification by sampling is claimed",
        f"{private['noise_multiplier']:.3g} times the clip (now 0.5)",
        "always divided by 20",
        "whoever knows the seed can take it off",
        "Public counts, of what is popular, are exact",
    ):
        assert words in said
    result = json.loads(cli("privacy", tmp_path / "run", "--json").out)
    assert result["privacy"] == private
    assert result["total"] is None, "public counts are not protected"
    assert " ".join(result["sentences"]) == said


PROMISES: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "pooled": (("--algorithm", "pooled"), ("whoever runs it sees them", "no differential privacy")),
    "alone": (("--algorithm", "local"), ("nothing of the training leaves the device",)),
    "gossip": (("--algorithm", "push-sum"), ("There is no server",)),
    "trees": (("--ranker", "forest", "--algorithm", "federated"), ("counts of candidates by node and bin",)),
    "own models": (
        ("--algorithm", "persa-fl-ditto"),
        ("belong on users' devices", "How far they go (lam) is chosen by mean validation losses"),
    ),
}


@pytest.mark.parametrize("name", PROMISES)
def test_runs_without_privacy_say_so(name: str, cli: Cli, tiny: Path, tmp_path: Path) -> None:
    options, words = PROMISES[name]
    few = () if "forest" in options else ("--updates", 40, "--evaluations", 0)
    assert cli("train", "--data", tiny, "--out", tmp_path / "run", *few, *options).code == 0
    said = " ".join(cli("privacy", tmp_path / "run").out.split())
    assert all(each in said for each in words), said
    assert "no differential privacy" in said or "tell much of one user" in said
    assert "epsilon" not in said


def test_hostile_users_defences_and_bytes_are_in_the_summary(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    words = ("--attack", "sign-flip", "share=.1", "scale=10", "--defence", "clip+trimmed-mean", "f=3")
    summary = trained(cli, tiny, tmp_path / "run", *COHORT, *words, "--compress", "bits=8")
    assert summary["attack"] == {"kind": "sign-flip", "users": 2}
    assert summary["defence"] == {"rule": "clip+trimmed-mean", "survives": 3, "updates": 20}
    assert summary["bytes_up"] < 0.26 * summary["bytes_down"]


def test_a_stopped_private_run_goes_on_to_the_same_model(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    words = (*COHORT, "--privacy", "epsilon=2", "delta=1e-3", "quantile=.5", "--compress", "bits=4")
    trained(cli, tiny, tmp_path / "whole", *words)
    trained(cli, tiny, tmp_path / "parts", *words, "--until", 20)
    assert json.loads((tmp_path / "parts" / "summary.json").read_text())["privacy"]["spent_epsilon"] < 2
    assert cli("resume", tmp_path / "parts").code == 0
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


REFUSED: dict[str, tuple[tuple[object, ...], int, str]] = {
    "a word without a key": (("--privacy", "much"), USAGE, "--privacy much: write key=value, e.g. epsilon=2"),
    "two names": (("--attack", "alie", "--attack", "ipm"), USAGE, "--attack ipm: there can be one only"),
    "nothing": (("--privacy", ""), USAGE, "--privacy needs words: e.g. --privacy epsilon=2 delta=1e-3"),
    "a size alone": (("--compress", "8"), USAGE, "--compress 8: write key=value, e.g. bits=8"),
    "no share": (("--attack", "alie"), BAD_CONFIG, "attack needs share: write share=0.1"),
    "a short name": (("--set", "epsilon=2"), BAD_CONFIG, "unknown setting 'epsilon'"),
    "no epsilon": (("--privacy", "clip=1"), BAD_CONFIG, "privacy needs epsilon: write epsilon="),
    "no delta": (("--privacy", "epsilon=1"), BAD_CONFIG, "privacy needs delta: write delta="),
    "epsilon 0": (("--privacy", "epsilon=0", "delta=.001"), BAD_CONFIG, "privacy.epsilon = 0"),
    "epsilon nan": (("--privacy", "epsilon=nan", "delta=.001"), BAD_CONFIG, "privacy.epsilon = nan"),
    "delta 1": (("--privacy", "epsilon=1", "delta=1"), BAD_CONFIG, "privacy.delta = 1"),
    "delta for 20": (("--privacy", "epsilon=1", "delta=.06"), BAD_CONFIG, "less than 1/20 = 0.05"),
    "keep best": (("--privacy", "epsilon=1", "delta=.01", "--keep", "best"), BAD_CONFIG, "keep = best would"),
    "weights": (
        ("--privacy", "epsilon=1", "delta=.01", "--set", "shares=samples"),
        BAD_CONFIG,
        "privacy needs equal weights",
    ),
    "privacy and a rule": (
        ("--privacy", "epsilon=1", "delta=.01", "--defence", "median"),
        BAD_CONFIG,
        "a robust rule is no sum",
    ),
    "too many participations": (
        ("--privacy", "epsilon=1", "delta=.01", "participations=1"),
        BAD_CONFIG,
        "set updates to 20 at most",
    ),
    "an unknown key": (("--privacy", "epsilom=1"), BAD_CONFIG, "did you mean 'privacy.epsilon'?"),
    "an unknown attack": (("--attack", "sign-flop", "share=.1"), BAD_CONFIG, "attack.kind = 'sign-flop'"),
    "half the users": (("--attack", "alie", "share=.6"), BAD_CONFIG, "attack.share = 0.6"),
    "an unknown rule": (("--defence", "medain"), BAD_CONFIG, "did you mean 'median'?"),
    "a rule too great": (("--defence", "krum", "f=9"), BAD_CONFIG, "needs at least 21 updates in a merge"),
    "nothing smaller": (("--compress", "bits=32"), BAD_CONFIG, "set bits to 8 or 4, or top_k below 1"),
    "other bits": (("--compress", "bits=7"), BAD_CONFIG, "compression.bits = 7"),
    "without a server": (
        ("--algorithm", "local", "--compress", "bits=8"),
        BAD_CONFIG,
        "compression is what a server does",
    ),
    "trees": (
        ("--ranker", "lightgbm", "--algorithm", "pooled", "--compress", "bits=8"),
        BAD_CONFIG,
        "unknown",
    ),
    "unbuffered": (
        ("--algorithm", "persa-fl-me", "--privacy", "epsilon=2", "delta=.01"),
        BAD_CONFIG,
        "in every parameter: merge 20 or more (by buffer or cohort), or set noise = banded",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_said_in_a_sentence(name: str, cli: Cli, tiny: Path, tmp_path: Path) -> None:
    options, code, sentence = REFUSED[name]
    own = () if "--algorithm" in options else COHORT
    told = cli("train", "--data", tiny, "--out", tmp_path / "run", *own, *options)
    assert (told.code, sentence in told.err) == (code, True), told.err
    assert not (tmp_path / "run").exists()


def test_privacy_keeps_the_last_model_and_weighs_equally() -> None:
    pairs = parse_overrides(["privacy.epsilon=2", "privacy.delta=0.001"])
    private = resolve({"algorithm": "fedavg"}, pairs)
    assert (private.keep, private.row.schedule.shares) == (LAST, "equal")
    usual = resolve({"algorithm": "fedavg"}, {})
    assert (usual.keep, usual.row.schedule.shares) == (BEST, "samples")


def test_over_real_messages_noise_is_the_operating_systems() -> None:
    flower = {"algorithm": "persa-fl-me-buffered", "engine": "flower"}
    private = {"privacy.epsilon": 2, "privacy.delta": 0.001}
    assert resolve(flower, private).row.privacy.randomness == "system"  # type: ignore[union-attr]
    for more, sentence in (
        ({"privacy.randomness": "keyed"}, "could be subtracted"),
        ({"privacy.quantile": 0.5}, "leave it out"),
        ({"attack.kind": "alie"}, "attack is simulated only"),
        ({"compression.bits": 8}, "compression is simulated only"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            resolve(flower, private | more)


@pytest.mark.parametrize(("written", "value"), [("share=.1", 0.1), ("share=1.", 1.0), ("share=-.5e1", -5.0)])
def test_numbers_are_read_as_people_write_them(written: str, value: float) -> None:
    assert parse_overrides([written]) == {"share": value}


def test_an_empty_table_of_a_file_is_no_silence(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "private.toml"
    file.write_text("[privacy]\n# epsilon = 2\n")
    told = cli("train", "--data", tiny, "--out", tmp_path / "run", "--config", file)
    assert (told.code, "[privacy] is empty" in told.err) == (BAD_CONFIG, True)


DAMAGES: dict[str, Any] = {
    "nothing in it": {},
    "no account": "x",
    "another epsilon": {"epsilon": 0.1, "spent_epsilon": 0.1},
    "another noise": {"noise": "nope"},
    "no number": {"spent_epsilon": "abc"},
    "more than promised": {"most_participations": 99},
    "less noise than that takes": {"noise_multiplier": 0.01},
    "more participations than the noise is for": {"participations": 1000},
    "less spent than there was": {"spent_epsilon": 0.5},
    "no number of merges": {"merges": "x"},
    "a band without its noise": {"band": 3},
    "trees without their leaves": {"noise": "tree"},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_an_account_that_is_damaged_is_not_believed(
    name: str, cli: Cli, private: Path, tmp_path: Path
) -> None:
    shutil.copytree(private, tmp_path / "run")
    file = tmp_path / "run" / "summary.json"
    summary = json.loads(file.read_text())
    damage = DAMAGES[name]
    summary["privacy"] = damage if not damage or damage == "x" else summary["privacy"] | damage
    file.write_text(json.dumps(summary))
    told = cli("privacy", tmp_path / "run")
    assert told.code == BAD_RUN, told.err
    assert told.err.count("\n") == 1


def test_a_dry_run_takes_every_option(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    for words in (("--attack", "label-flip", "share=.1"), ("--privacy", "epsilon=2", "delta=.01")):
        told = cli("train", "--data", tiny, "--out", tmp_path / "run", *COHORT, *FEW, "--dry-run", *words)
        assert told.code == 0, told.err


def test_a_kill_undoes_no_merge_that_others_have_seen() -> None:
    """Noise that cannot be drawn again is on the disk, with the participations, before a model leaves."""
    private = {"privacy.epsilon": 2, "privacy.delta": 0.001, "privacy.randomness": "system"}
    assert resolve({"algorithm": "fedavg", "checkpoint_every": 500}, private).checkpoint_every == 1


def test_a_merge_is_on_the_disk_before_it_is_judged(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On nodes, whoever judges a model sees it: after a kill the same merge would get other noise."""
    saved, run = [], tmp_path / "run"
    evaluate = Training._evaluate

    def judged(self: Training, w: Tensor) -> dict[str, float]:
        snapshot, _ = checkpoint.load(run / CHECKPOINTS)
        assert snapshot is not None
        saved.append(torch.equal(snapshot.tensors["w"], w))
        return evaluate(self, w)

    monkeypatch.setattr(Training, "_evaluate", judged)
    settings = resolve(
        {"algorithm": "fedavg", "updates": 80, "evaluations": 4},
        {"cohort": 20, "privacy.epsilon": 2, "privacy.delta": 1e-3, "privacy.randomness": "system"},
    )
    train_run(settings, tiny, read(tiny), run, lambda event: None)
    assert saved == [True] * 4


@pytest.mark.parametrize("words", [("--defence", "median"), ("--privacy", "epsilon=2", "delta=.01")])
def test_a_merge_of_more_updates_than_there_are_users_is_refused(
    words: tuple[str, ...], cli: Cli, tiny: Path, tmp_path: Path
) -> None:
    size = ("--algorithm", "fedbuff", "--set", "buffer=30", "--updates", 60)
    told = cli("train", "--data", tiny, "--out", tmp_path / "run", *size, *words)
    assert told.code == BAD_CONFIG
    assert "takes 30 updates of different users, and there are 20: set buffer to 20 at most" in told.err
    assert not (tmp_path / "run").exists()


def test_a_word_that_is_given_twice_is_refused(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    told = cli("train", "--data", tiny, "--out", tmp_path / "run", "--compress", "bits=8", "bits=4")
    assert (told.code, "--compress has bits twice" in told.err) == (USAGE, True)
