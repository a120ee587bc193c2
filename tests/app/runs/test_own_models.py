"""How far own models go, and why, is in summary.json, in what `evaluate` tells, and in a printed sentence."""

import json
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from federated.objectives.strength import PRICES
from federated.tasks.ranking import RankingTask

Cli = Callable[..., Any]
Judging = Callable[..., None]
SHORT = ("--updates", 40, "--evaluations", 1)
LOSSES = [0.5, 0.45, 0.4, 0.35, 0.3, 0.35, 0.4]
"""Of ∞ and PRICES: 3 is best."""


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> Judging:
    """Call it before a training with the losses that everybody finds, candidate by candidate."""

    def begin(losses: list[float], last: tuple[Tensor, Tensor] | None = None) -> None:
        numbers = count()

        def judged(self: RankingTask, users: Tensor, w: Tensor) -> Tensor:
            number = next(numbers)
            if number < len(losses):
                return torch.full((len(users),), losses[number], dtype=torch.float64)
            assert last is not None, "judged more often than there are candidates"
            return last[number - len(losses)]

        monkeypatch.setattr(RankingTask, "_losses", judged)

    return begin


def trained(cli: Cli, data: Path, run: Path, *options: object) -> tuple[dict[str, Any], str]:
    """(summary, what was printed)."""
    called = cli("train", "--data", data, "--out", run, *SHORT, *options)
    assert called.code in (0, 6), called.err  # it has hardly learned
    return json.loads((run / "summary.json").read_text()), unfolded(called.out)


def evaluated(cli: Cli, run: Path) -> tuple[dict[str, Any], str]:
    """The same of a judgement."""
    called = cli("evaluate", run, "--json")
    assert called.code == 0, called.err
    return json.loads(called.out)["runs"][0], unfolded(cli("evaluate", run).out)


def unfolded(text: str) -> str:
    return " ".join(text.split())


def stored(run: Path) -> dict[str, Tensor]:
    return dict(load_file(run / "model.safetensors"))


def test_what_validation_chose_is_told_everywhere_and_is_what_users_get(
    tiny: Path, tmp_path: Path, cli: Cli, judging: Judging
) -> None:
    judging(LOSSES)
    summary, said = trained(cli, tiny, tmp_path / "auto", "--algorithm", "persa-fl-ditto")
    values = ["inf", *PRICES]
    losses = [{"value": value, "loss": loss} for value, loss in zip(values, LOSSES, strict=True)]
    own = {"setting": "lam", "value": 3.0, "losses": losses}
    own |= {"users_asked": 20, "nobody": False, "kept_common": None}
    assert summary["own_models"] == own
    sentence = (
        "Own models: lam = 3, chosen by 20 users' NMRR on validation slates (∞: 0.5000, 30: 0.5500, "
        "15: 0.6000, 7: 0.6500, 3: 0.7000, 1.5: 0.6500, 0.7: 0.6000)."
    )
    assert sentence in said
    result, told = evaluated(cli, tmp_path / "auto")
    assert result["own_models"] == own
    assert sentence in told
    fixed, said = trained(cli, tiny, tmp_path / "set", "--algorithm", "persa-fl-ditto", "--set", "lam=3")
    assert fixed["own_models"] == {
        "setting": "lam",
        "value": 3.0,
        "losses": [],
        "users_asked": 0,
        "nobody": False,
        "kept_common": None,
    }
    assert "Own models: lam = 3." in said
    assert "Own models: lam = 3." in evaluated(cli, tmp_path / "set")[1]
    models = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("auto", "set")]
    assert models[0] == models[1]


NOBODY = [("persa-fl-ditto", "lam", "inf", "∞"), ("persa-fl-maml", "personal_steps", 0, "0")]
NOBODY += [("reptile", "adapt_steps", 0, "0")]


@pytest.mark.parametrize(("algorithm", "setting", "value", "written"), NOBODY)
def test_where_nobody_is_better_off_nothing_personal_is_stored(
    algorithm: str,
    setting: str,
    value: object,
    written: str,
    tiny: Path,
    tmp_path: Path,
    cli: Cli,
    judging: Judging,
) -> None:
    judging([0.5] + 6 * [0.6])
    summary, said = trained(cli, tiny, tmp_path / "run", "--algorithm", algorithm)
    own = summary["own_models"]
    assert (own["setting"], own["value"], own["nobody"]) == (setting, value, True)
    assert own["losses"][0] == {"value": value, "loss": 0.5}
    sentence = (
        rf"Own models: {setting} = {written}, chosen by 20 users' .*; nobody is better off with a model "
    )
    sentence += "of their own, so all keep the common one\\."
    assert re.search(sentence, said)
    assert stored(tmp_path / "run").keys() == {"common"}
    result, told = evaluated(cli, tmp_path / "run")
    assert result["own_models"] == own
    assert re.search(sentence, told)
    assert result["metrics"]["personal"] == result["metrics"]["global"]
    assert result["personal_minus_global"]["nmrr"]["mean"] == 0
    doubts = [*summary["warnings"], *summary["notes"], *result["warnings"], *result["notes"]]
    assert not [d for d in doubts if "other users" in d["message"]], "there is nothing to exchange"


def test_who_does_not_win_keeps_the_common_model_where_that_is_wanted(
    tiny: Path, tmp_path: Path, cli: Cli, judging: Judging
) -> None:
    better = torch.ones(20, dtype=torch.float64)
    better[:5] = 0.0
    judging(LOSSES, last=(better, 1 - better))
    options = ("--algorithm", "persa-fl-ditto", "--set", "keep_common=true")
    summary, said = trained(cli, tiny, tmp_path / "run", *options)
    assert summary["own_models"]["kept_common"] == 5
    assert "; 5 users are no better off with a model of their own, and so left with the common one." in said
    tensors = stored(tmp_path / "run")
    same = (tensors["personal"] == tensors["common"]).all(1)
    assert same.tolist() == 5 * [True] + 15 * [False]


@pytest.mark.parametrize("algorithm", ["fedavg", "local"])
def test_where_nobody_is_to_have_a_model_of_their_own_nothing_is_told(
    algorithm: str, tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    summary, said = trained(cli, tiny, tmp_path / "run", "--algorithm", algorithm)
    assert summary["own_models"] is None
    result, told = evaluated(cli, tmp_path / "run")
    assert result["own_models"] is None
    assert "Own models" not in said + told
