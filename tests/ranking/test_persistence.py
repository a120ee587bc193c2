"""Models on disk: what was saved is what is loaded, and what was not saved by us is refused unread."""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import skops.io
import torch
from safetensors.torch import save as save_tensors
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from data.files import write_bytes
from ranking.models import Model, NeuralModel, TreeModel
from ranking.persistence import INDEX, NEURAL, load, save
from ranking.rankers import RANKERS, TREES, forest
from ranking.rankers.mlp import MLP
from ranking.rankers.network import Network
from ranking.rankers.trees import ModelError
from ranking.slates import Slates, StoredSlates

USERS, FEATURES = 2, 3
TEXTS = ["apple", "apricot", "banana", "cherry", "date", "elder"]
NETWORK = MLP(hidden=(4,)).network(FEATURES, TEXTS)
SIZE = NETWORK.layout.size
KINDS = [(name, kind) for name in RANKERS for kind in ("common", "personal", "both")]
KINDS = [(name, kind) for name, kind in KINDS if name not in TREES or kind != "both"]


class Bomb:
    """An object that tells when it is brought to life."""

    went_off = False

    def __init__(self) -> None:
        self.fuse = 1

    def __setstate__(self, state: object) -> None:
        Bomb.went_off = True


@pytest.fixture
def slates(make_slates) -> Slates:
    places = [[0, 1, 0, 2], [1, 0], [0, 0, 1, 0, 0], [0, 2, 1], [1, 0, 0], [0, 1]] * 10
    return make_slates(places, user=[0, 1, 1, 0, 0, 1] * 10)


def network_of(name: str) -> Network | None:
    return None if name in TREES else RANKERS[name].ranker.network(FEATURES, TEXTS)


def learned(name: str, kind: str, slates: Slates) -> Model:
    """A small model of one kind; the same each time."""
    if (network := network_of(name)) is not None:
        draws = [network.layout.initial(torch.Generator().manual_seed(s)) for s in range(USERS + 1)]
        common = None if kind == "personal" else draws[0]
        # not contiguous, as a stack of updates may be
        personal = None if kind == "common" else torch.stack(draws[1:]).T.contiguous().T
        return NeuralModel(network, common, personal)
    ranker = replace(RANKERS[name].ranker, n_estimators=7)
    parts = [slates] if kind == "common" else [slates.where_user(torch.tensor([u])) for u in range(USERS)]
    fitted = [ranker.fit(StoredSlates.of(part), RANKERS[name].losses[0], 0) for part in parts]
    return TreeModel(fitted[0], ()) if kind == "common" else TreeModel(None, fitted)


def plant(directory: Path, ranker: str, contents: dict[str, bytes]) -> Path:
    """A run directory whose checksums are right, whatever the files hold."""
    for name, content in contents.items():
        write_bytes(directory / name, content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_bytes(directory / INDEX, json.dumps({"ranker": ranker, "files": files}).encode())
    return directory


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_what_is_loaded_is_what_was_saved(tmp_path, slates, name, kind):
    model = learned(name, kind, slates)
    save(model, tmp_path, name)
    back = load(tmp_path, name, network_of(name), USERS)
    assert (back.global_scores(slates) is None) == (kind == "personal")
    for ours, theirs in [
        (model.global_scores(slates), back.global_scores(slates)),
        (model.personal_scores(slates), back.personal_scores(slates)),
    ]:
        if name == "forest" and ours is not None:  # two threads add up its trees in either order
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        else:
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_equal_models_give_equal_bytes(tmp_path, slates, name, kind):
    first = save(learned(name, kind, slates), tmp_path / "a", name)
    assert save(learned(name, kind, slates), tmp_path / "b", name) == first
    for file in [INDEX, *first]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    write_bytes(tmp_path / "file", b"old")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def flip_a_byte(directory: Path) -> None:
    content = bytearray((directory / NEURAL).read_bytes())
    content[-1] ^= 1
    (directory / NEURAL).write_bytes(bytes(content))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda d: (d / INDEX).unlink(), "missing or unreadable"),
    "index is no json": (lambda d: (d / INDEX).write_bytes(b"\x80\x04"), "missing or unreadable"),
    "index is a list": (lambda d: (d / INDEX).write_text("[]"), "missing or unreadable"),
    "index names no files": (lambda d: (d / INDEX).write_text('{"ranker": "mlp"}'), "missing or unreadable"),
    "index names nothing": (
        lambda d: (d / INDEX).write_text('{"ranker": "mlp", "files": {}}'),
        "safetensors",
    ),
    "other ranker": (lambda d: plant(d, "forest", {NEURAL: b""}), "belongs to the ranker 'forest'"),
    "no file": (lambda d: (d / NEURAL).unlink(), "is missing"),
    "changed byte": (flip_a_byte, "has changed"),
    "truncated": (lambda d: (d / NEURAL).write_bytes((d / NEURAL).read_bytes()[:-4]), "has changed"),
    "not safetensors": (lambda d: plant(d, "mlp", {NEURAL: b"\x80\x04junk"}), "not a readable safetensors"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_files_are_refused(tmp_path, what):
    save(NeuralModel(NETWORK, torch.ones(SIZE), None), tmp_path, "mlp")
    load(tmp_path, "mlp", NETWORK, USERS)
    damage, message = DAMAGE[what]
    damage(tmp_path)
    with pytest.raises(ModelError, match=message):
        load(tmp_path, "mlp", NETWORK, USERS)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"common": torch.zeros(SIZE + 1)}, "expected"),
        ({"common": torch.zeros(1, SIZE)}, "expected"),
        ({"common": torch.zeros(SIZE), "personal": torch.zeros(USERS + 1, SIZE)}, "personal"),
        ({"common": torch.zeros(SIZE, dtype=torch.float64)}, "float32"),
        ({"common": torch.zeros(SIZE, dtype=torch.float16)}, "float32"),
        ({"common": torch.zeros(SIZE, dtype=torch.int32)}, "float32"),
        ({"common": torch.zeros(SIZE), "extra": torch.zeros(1)}, "extra"),
        ({"weights": torch.zeros(SIZE)}, "weights"),
        ({}, "not the parameters"),
        ({"common": torch.full((SIZE,), torch.nan)}, "not finite"),
        ({"personal": torch.eye(USERS, SIZE) * torch.inf}, "not finite"),
        ({"common": torch.zeros(SIZE).index_fill(0, torch.tensor([3]), -torch.inf)}, "not finite"),
    ],
)
def test_other_tensors_are_refused(tmp_path, tensors, message):
    plant(tmp_path, "mlp", {NEURAL: save_tensors(tensors)})
    with pytest.raises(ModelError, match=message):
        load(tmp_path, "mlp", NETWORK, USERS)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_outside_the_directory_is_not_read(tmp_path, absolute):
    content = save_tensors({"common": torch.zeros(SIZE)})
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(content)
    name = str(outside) if absolute else "../outside.safetensors"
    files = {name: hashlib.sha256(content).hexdigest()}
    write_bytes(tmp_path / "run" / INDEX, json.dumps({"ranker": "mlp", "files": files}).encode())
    with pytest.raises(ModelError, match="outside its directory"):
        load(tmp_path / "run", "mlp", NETWORK, USERS)


def test_a_model_for_each_user_or_none(tmp_path, slates):
    save(learned("forest", "personal", slates), tmp_path, "forest")
    with pytest.raises(ModelError, match="2 models; there must be one for all or 3"):
        load(tmp_path, "forest", None, 3)


def forest_with_a_partial() -> RandomForestClassifier:
    forest = RandomForestClassifier(n_estimators=1).fit([[0.0], [1.0]], [False, True])
    forest.callback = functools.partial(print, "gone off")
    return forest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Bomb(), "untrusted type.*Bomb"),
        ([Bomb()], "untrusted type.*Bomb"),
        (functools.partial(print, "gone off"), "untrusted type.*functools.partial"),
        (forest_with_a_partial(), "untrusted type.*functools.partial"),
        (LogisticRegression(), "LogisticRegression, not a random forest"),
        ({"a": 1}, "dict, not a random forest"),
    ],
    ids=["bomb", "list", "partial", "forest", "logistic", "dict"],
)
def test_skops_files_that_hold_anything_but_a_forest_are_refused(
    tmp_path, monkeypatch, capsys, value, message
):
    monkeypatch.setattr(Bomb, "went_off", False)
    content = skops.io.dumps(value)
    plant(tmp_path, "forest", {"model/common.skops": content})
    with pytest.raises(ModelError, match=message):
        load(tmp_path, "forest", None, USERS)
    assert not Bomb.went_off
    assert "gone off" not in capsys.readouterr().out
    if isinstance(value, Bomb):  # it is a live one
        skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
        assert Bomb.went_off


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00", b"PK\x05\x06" + bytes(18), "pickle"])
def test_files_that_are_no_model_are_refused(tmp_path, name, content):
    marker = tmp_path / "executed"
    if content == "pickle":
        content = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
    plant(tmp_path, name, {f"model/common{TREES[name].SUFFIX}": content})
    with pytest.raises(ModelError, match="not a readable"):
        load(tmp_path, name, None, USERS)
    assert not marker.exists()


def test_a_tree_that_points_outside_itself_is_refused():
    """Following it would read foreign memory."""
    rows = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)).numpy()
    fitted = RandomForestClassifier(3, random_state=0).fit(rows, rows[:, 0] > 0.5)
    assert forest.load(forest.FittedForest(fitted).dump(), "sound").forest.n_features_in_ == 3
    tree = fitted.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = 10**6
    tree.__setstate__(state)
    with pytest.raises(ModelError, match="points outside itself"):
        forest.load(forest.FittedForest(fitted).dump(), "model")
