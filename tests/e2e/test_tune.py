"""A search in child processes: killed or asked to end, nothing is left at work, and the same call goes on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.experiments.tuning import search as tuning
from data.simulator import simulate
from data.storage import write
from tests.app.experiments.tuning.searching import Here
from tests.e2e.crashes import INTERRUPTED, KILLED, OK, ROOT
from tests.e2e.hostile import CALL, start
from tests.e2e.test_children import members, until

OPTIONS = ("--updates", 120, "--over", "lr=0.2,1e-6,0.02", "--set", "hidden=[8]", "--json")


def result(out: Path) -> dict[str, bytes]:
    """Every byte that the search and the trainings that it ends with decide."""
    named = [out / "best.toml", out / "rungs.json", out / "result.json"]
    models = out.glob("runs/*/model.safetensors")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in (*named, *models)}


def search(data: Path, out: Path) -> "subprocess.Popen[str]":
    """Begin with it, or go on, in a session of its own."""
    return start(CALL, "tune", "--data", data, "--out", out, *OPTIONS, path=f"{ROOT}:{ROOT / 'app' / 'door'}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "few"
    write(simulate(users=8, seed=0), out)
    return out


@pytest.fixture
def whole(
    data: Path, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """What a search finds that nothing happens to, and that trains in this process: far sooner, the same."""
    out = tmp_path / "whole"
    monkeypatch.setattr(tuning.tune, "__defaults__", (*tuning.tune.__defaults__[:-1], Here()))
    called = cli("tune", "--data", data, "--out", out, *OPTIONS)
    assert called.code == OK, called.err
    return result(out)


def learning(out: Path) -> bool:
    return any(path.stat().st_size for path in out.glob("runs/*/metrics.jsonl"))


def second_rung(out: Path) -> bool:
    return (out / "rungs.json").is_file()


def ended(data: Path, out: Path, number: int, moment: Callable[[Path], bool]) -> tuple[int, str]:
    """The exit code and last words of a search that gets a signal at some moment."""
    process = search(data, out)
    until(lambda: moment(out) or process.poll() is not None, 120)
    time.sleep(0.3)
    os.kill(process.pid, number)
    said = process.communicate(timeout=90)[1]
    until(lambda: not members(process.pid), 60)
    assert not (out / "result.json").exists()
    return process.returncode, said


def test_the_same_call_goes_on_to_the_same_bits(data: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert ended(data, out, signal.SIGKILL, learning)[0] == KILLED
    code, said = ended(data, out, signal.SIGTERM, second_rung)
    assert code == INTERRUPTED
    assert said.splitlines()[-1] == (
        "persarank: stopped; what is finished is kept. Go on with: persarank tune "
        f"--data={data} --out={out} --seeds=0 --updates=120 "
        "--over=lr=0.2,1e-6,0.02 '--set=hidden=[8]' --json"
    )
    again = search(data, out)
    _, err = again.communicate(timeout=300)
    assert again.returncode == OK, err
    assert result(out) == whole
