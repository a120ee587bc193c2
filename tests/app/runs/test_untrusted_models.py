"""Model files that are not as they were written: exit code 6, one sentence, and no code of theirs ran."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import load, save
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from app.runs.settings import resolve
from app.runs.training import train_run
from data.storage import read

UNTRUSTED = 6
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "common": ({"algorithm": "fedavg", "updates": 20}, {}),
    "personal": ({"algorithm": "local", "updates": 20}, {}),
    "forest": ({"algorithm": "pooled", "ranker": "forest"}, {"n_estimators": 2}),
    "shared": ({"algorithm": "federated", "ranker": "forest"}, {"n_estimators": 2}),
    "forests": ({"algorithm": "local", "ranker": "forest"}, {"n_estimators": 1}),
}
NEURAL, FOREST = "model.safetensors", "model/common.skops"


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five finished runs; use `run`, a copy of one, to spoil."""
    place = tmp_path_factory.mktemp("runs")
    dataset = read(tiny)
    for name, (given, overrides) in RUNS.items():
        train_run(resolve(given, overrides), tiny, dataset, place / name, lambda event: None)
    return place


@pytest.fixture
def run(trained: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return Path(shutil.copytree(trained / getattr(request, "param", "common"), tmp_path / "run"))


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def sign(run: Path) -> None:
    """Make all checksums agree again, as somebody who means harm would."""
    index = json.loads((run / "model.json").read_text())
    index["files"] = {n: hashlib.sha256((run / n).read_bytes()).hexdigest() for n in index["files"]}
    (run / "model.json").write_text(json.dumps(index))


def assert_untrusted(cli: Callable[..., Any], run: Path, *parts: str) -> None:
    before = contents(run)
    called = cli("evaluate", run)
    assert called.code == UNTRUSTED, called.err
    assert called.out == ""
    assert called.err.startswith("persarank: ")
    assert len(called.err.splitlines()) == 1, called.err
    for part in parts:
        assert part in called.err
    assert contents(run) == before, "nothing was written"


@pytest.mark.parametrize("run", RUNS, indirect=True)
def test_what_was_saved_is_trusted(cli: Callable[..., Any], run: Path) -> None:
    sign(run)
    assert cli("evaluate", run, "--json").code == 0


@pytest.mark.parametrize(("run", "name"), [("common", NEURAL), ("forest", FOREST)], indirect=["run"])
@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "gone"])
def test_damage(cli: Callable[..., Any], run: Path, name: str, damage: str) -> None:
    content = bytearray((run / name).read_bytes())
    content[-9] ^= 1
    spoiled = {"bit": content, "cut": content[:-9], "empty": b"", "gone": None}[damage]
    (run / name).unlink()
    if spoiled is not None:
        (run / name).write_bytes(spoiled)
    assert_untrusted(cli, run, name, "is missing" if damage == "gone" else "its checksum differs")


INDEXES: dict[str, tuple[str | None, str]] = {
    "gone": (None, "model.json is missing or unreadable"),
    "no JSON": ("{", "model.json is missing or unreadable"),
    "a list": ("[]", "model.json is missing or unreadable"),
    "no files": ('{"ranker": "mlp"}', "model.json is missing or unreadable"),
    "empty": ('{"ranker": "mlp", "files": {}}', "is not a readable safetensors file"),
    "other ranker": ('{"ranker": "forest", "files": {}}', "belongs to the ranker 'forest', the run to 'mlp'"),
    "up and away": ('{"ranker": "mlp", "files": {"../secret": ""}}', "names a file outside its directory"),
    "absolute": ('{"ranker": "mlp", "files": {"/etc/hostname": ""}}', "names a file outside its directory"),
}


@pytest.mark.parametrize(("text", "part"), INDEXES.values(), ids=INDEXES)
def test_index(cli: Callable[..., Any], run: Path, text: str | None, part: str) -> None:
    (run / "model.json").unlink()
    if text is not None:
        (run / "model.json").write_text(text)
    assert_untrusted(cli, run, part)


def with_value(w: torch.Tensor, value: float) -> torch.Tensor:
    changed = w.clone()
    changed.view(-1)[5] = value
    return changed


TENSORS: dict[str, tuple[Callable[[torch.Tensor], dict[str, torch.Tensor]], str]] = {
    "extra tensor": (lambda w: {"common": w, "extra": w.clone()}, "holds ['common', 'extra']"),
    "no tensor": (lambda w: {}, "holds []"),
    "renamed": (lambda w: {"comon": w}, "holds ['comon']"),
    "NaN": (lambda w: {"common": with_value(w, float("nan"))}, "common holds values that are not finite"),
    "infinite": (lambda w: {"common": with_value(w, float("-inf"))}, "values that are not finite"),
    "one less": (lambda w: {"common": w[1:].clone()}, "common is ("),
    "one axis more": (lambda w: {"common": w[None]}, "common is (1, "),
    "other type": (lambda w: {"common": w.double()}, "float32"),
    "users missing": (lambda w: {"personal": w.repeat(19, 1)}, "personal is (19, "),
    "personal NaN": (lambda w: {"personal": with_value(w.repeat(20, 1), float("nan"))}, "not finite"),
}


@pytest.mark.parametrize(("change", "part"), TENSORS.values(), ids=TENSORS)
def test_signed_tensors(cli: Callable[..., Any], run: Path, change: Any, part: str) -> None:
    tensors = change(load((run / NEURAL).read_bytes())["common"])
    (run / NEURAL).write_bytes(save(tensors))
    sign(run)
    assert_untrusted(cli, run, part)


@pytest.mark.parametrize("run", ["personal"], indirect=True)
def test_signed_personal_models_of_other_users(cli: Callable[..., Any], run: Path) -> None:
    personal = load((run / NEURAL).read_bytes())["personal"]
    (run / NEURAL).write_bytes(save({"personal": personal[:-1].clone()}))
    sign(run)
    assert_untrusted(cli, run, "personal is (19, ")


@pytest.mark.parametrize("run", ["forests"], indirect=True)
def test_every_user_needs_a_forest(cli: Callable[..., Any], run: Path) -> None:
    index = json.loads((run / "model.json").read_text())
    del index["files"]["model/user-00007.skops"]
    (run / "model.json").write_text(json.dumps(index))
    assert_untrusted(cli, run, "there must be one for all or 20")


def bomb(marker: Path) -> bytes:
    """A pickle that writes a file where it is loaded."""
    return f"cbuiltins\nopen\n(S'{marker}'\nS'w'\ntR.".encode()


def test_the_bomb_is_live(tmp_path: Path) -> None:
    program = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", program], input=bomb(tmp_path / "ran"), check=True)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(("run", "name"), [("common", NEURAL), ("forest", FOREST)], indirect=["run"])
def test_a_pickle_is_never_loaded(cli: Callable[..., Any], run: Path, name: str, tmp_path: Path) -> None:
    (run / name).write_bytes(bomb(tmp_path / "ran"))
    sign(run)
    assert_untrusted(cli, run, name, "is not a readable")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("run", ["forest"], indirect=True)
@pytest.mark.parametrize(
    ("model", "part"),
    [
        (FunctionTransformer(os.mkdir), "untrusted type(s) posix.mkdir"),
        (LogisticRegression().fit(np.eye(2), [0, 1]), "holds a LogisticRegression, not a random forest"),
        ({"n": 1}, "holds a dict, not a random forest"),
    ],
    ids=["function", "other model", "no model"],
)
def test_only_forests_are_loaded(cli: Callable[..., Any], run: Path, model: object, part: str) -> None:
    (run / FOREST).write_bytes(skops.io.dumps(model))
    sign(run)
    assert_untrusted(cli, run, FOREST, part)
