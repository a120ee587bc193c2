"""`reproduce privacy`, `robustness` and `bytes`, small: what they write; a second call trains nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from app.experiments import bytes_up, cells, privacy, robustness
from app.experiments.bytes_up import WHOLE
from app.experiments.privacy_cells import SYNCHRONOUS
from app.experiments.robustness_cells import NONE

RELEASES = 2 if find_spec("opendp") else 1
"""Public counts as they are; and released, where that can be."""

SMALL = {
    "privacy": (
        privacy,
        privacy.Scale(users=8, seeds=(0,), rounds=2, epsilons=(2.0, 8.0), methods=()),
        4 * RELEASES,
    ),
    "robustness": (
        robustness,
        robustness.Scale(
            users=8,
            seeds=(0,),
            updates=16,
            shares=(0.2,),
            attacks=("alie",),
            defences=(NONE, "clip"),
            buffered_defences=(),
        ),
        4,
    ),
    "bytes": (bytes_up, bytes_up.Scale(users=8, seeds=(0,), updates=20, ways=(WHOLE, "8 bits")), 4),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_experiment(
    name: str, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, scale, trainings = SMALL[name]
    monkeypatch.setattr(module, "EXPERIMENT", replace(module.EXPERIMENT, quick=scale))
    called = cli("reproduce", name, "--quick", "--out", tmp_path, "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert len(list(tmp_path.rglob("model.safetensors"))) == trainings
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"    persarank reproduce {name} --quick --out {tmp_path}\n" in page
    for figure in module.EXPERIMENT.figures:
        assert f"({figure}.svg)" in page
        assert (tmp_path / f"{figure}.svg").read_text().startswith("<svg")
    if name == "privacy":
        rows = {row["epsilon"]: row for row in result["simulated"]}
        assert {row["method"] for row in rows.values()} == {SYNCHRONOUS}
        assert rows[2.0]["multiplier"] > rows[8.0]["multiplier"]
        assert all((row["private_counts"] is not None) == (RELEASES == 2) for row in rows.values())
        assert rows[2.0]["global_minus_clipped"] != rows[8.0]["global_minus_clipped"]
    elif name == "robustness":
        assert result["synchronous"]["recommended"] == "clip"
    else:
        (whole, small) = result["fedavg"]
        assert whole["part"] == 1
        assert small["part"] < 0.27

    def nothing(commands: list[Any], tell: Any, **options: Any) -> dict[int, Any]:
        assert not commands
        return {}

    monkeypatch.setattr(cells, "run_all", nothing)
    assert cli("reproduce", name, "--quick", "--out", tmp_path, "--json").out == called.out
