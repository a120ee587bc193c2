"""Runs that are damaged, missing or foreign are named with the cause, and the others are reported."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.reports.evidence import figures, gathering
from app.reports.evidence.gathering import gather
from app.runs.directory import RunError, open_run
from data.simulator import simulate
from data.storage import write


def no_config(run: Path) -> None:
    (run / "config.toml").unlink()


def torn_summary(run: Path) -> None:
    (run / "summary.json").write_bytes((run / "summary.json").read_bytes()[:40])


def told(**values: object) -> Callable[[Path], None]:
    """A summary with other values; None: without these."""

    def damage(run: Path) -> None:
        summary = json.loads((run / "summary.json").read_text()) | values
        kept = {name: value for name, value in summary.items() if value is not None}
        (run / "summary.json").write_text(json.dumps(kept))

    damage.__name__ = "_".join(values)
    return damage


def flipped_model(run: Path) -> None:
    model = bytearray((run / "model.safetensors").read_bytes())
    model[-1] ^= 1
    (run / "model.safetensors").write_bytes(model)


def gone_data(run: Path) -> None:
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace('path = "', 'path = "/nowhere'))


def foreign_data(run: Path) -> None:
    config = (run / "config.toml").read_text()
    before, _, after = config.partition('fingerprint = "')
    (run / "config.toml").write_text(f'{before}fingerprint = "0000{after[4:]}')


def not_begun(run: Path) -> None:
    shutil.rmtree(run)


DAMAGE = {
    no_config: "it has no config.toml",
    torn_summary: "summary.json is damaged: it is no JSON.",
    told(warnings=["late"]): "summary.json is damaged: 'warnings.0' is wrong",
    flipped_model: "model.safetensors",
    gone_data: "is gone; name it with --data",
    foreign_data: "its personal models belong to other users",
    not_begun: "is not a run directory",
}


ODD = {
    told(algorithm=None): "it has no 'algorithm'.",
    told(warnings=None): "it has no 'warnings'.",
    told(seconds=math.nan): "NaN is not a finite number.",
    told(kept=[1]): "'kept' is wrong",
    told(own_models="all"): "'own_models' is wrong",
    told(phases={"training": "long"}): "'phases.training' is wrong",
    told(refused=[1]): "'refused' is wrong",
    told(staleness={"mean": "0", "max": 1}): "'staleness.mean' is wrong",
}


def test_a_summary_is_read_strictly(copies: dict[str, Path]) -> None:
    whole = (copies["me-0"] / "summary.json").read_bytes()
    for damage, why in ODD.items():
        (copies["me-0"] / "summary.json").write_bytes(whole)
        damage(copies["me-0"])
        with pytest.raises(RunError, match=re.escape(f"summary.json is damaged: {why}")):
            open_run(copies["me-0"])


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_one_bad_run_is_named_and_the_other_is_reported(
    copies: dict[str, Path], damage: Callable[[Path], None]
) -> None:
    damage(copies["me-0"])
    warned: list[str] = []
    found = gather([copies["me-0"], copies["fedavg"]], warn=warned.append)
    assert [judged.run.directory for judged in found.judged] == [copies["fedavg"]]
    (left,) = found.left_out
    assert left["run"] == str(copies["me-0"])
    assert DAMAGE[damage] in left["why"]
    assert warned[0].endswith(left["why"])
    assert left["run"] in warned[0]


def test_whatever_is_wrong_with_a_run_its_name_is_said(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise FloatingPointError("the scores are not finite.")

    monkeypatch.setattr(gathering, "judge", fail)
    warned: list[str] = []
    with pytest.raises(RunError, match="none of the runs"):
        gather([runs["fedavg"]], warn=warned.append)
    assert warned == [f"left out: {runs['fedavg']}: the scores are not finite."]


def test_without_any_run_there_is_no_report(copies: dict[str, Path]) -> None:
    no_config(copies["fedavg"])
    warned: list[str] = []
    with pytest.raises(RunError, match="none of the runs can be judged"):
        gather([copies["fedavg"], copies["fedavg"] / "nothing"], warn=warned.append)
    assert len(warned) == 2


def test_a_run_that_is_named_twice_counts_once(copies: dict[str, Path]) -> None:
    found = gather([copies["fedavg"], copies["fedavg"] / ".." / "fedavg"])
    assert len(found.judged) == 1
    assert "named before" in found.left_out[0]["why"]


def test_data_that_have_moved_are_found_by_what_they_are(
    copies: dict[str, Path], tiny: Path, tmp_path: Path
) -> None:
    """Of several, each run takes the one it learned from."""
    moved = Path(shutil.copytree(tiny, tmp_path / "moved"))
    write(simulate(users=3, seed=9), tmp_path / "other")
    gone_data(copies["fedavg"])
    (judged,) = gather([copies["fedavg"]], [tmp_path / "other", moved]).judged
    assert judged.ground.source.dataset.users.num_rows == 20


def test_runs_on_other_data_are_reported_apart(runs: dict[str, Path], tmp_path: Path, hostile: Path) -> None:
    """Letters begin anew, and nothing is compared across."""
    found = gather([runs["fedavg"], hostile, runs["local"]])
    first, second = figures.report(found, "test")["datasets"]
    assert [run["run"] for run in first["runs"]] == [str(runs["fedavg"]), str(runs["local"])]
    assert [run["run"] for run in second["runs"]] == [str(hostile)]
    assert (first["users"], second["users"]) == (20, 3)
    assert second["differences"] == second["between"]["nmrr"] == []
    assert first["fingerprint"] != second["fingerprint"]
