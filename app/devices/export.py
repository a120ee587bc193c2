"""Writes a run's models with all that they need, so that another program, or a page, suggests as it does.

::

    manifest.json         which models there are, and of what
    public.json           the queries that others are told of, and counts of them; see `tables`
    recipe.json           how features are made of counts; see `recipe`
    common.onnx           the model that all share; .weights for the page, or trees in their own format
    users/NUMBER.onnx     a user's own model, and
    users/NUMBER.json     what they have done
    README.md             how a list is made of all that; with the page instead index.html and what it loads
"""

import json
import shutil
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from app.devices.graph import CODES, INPUTS, SCORES, TYPED, graph
from app.devices.recipe import recipe
from app.devices.tables import Json, Numbers, past_of, public_tables
from app.runs.checks import ConfigError
from app.suggestions.suggester import Suggester
from app.suggestions.visit import GUEST, Standing, Visit
from data.files import write_bytes
from data.manifests import MANIFEST
from data.progress import Tell, silent
from data.schema import DataError
from data.storage import whole
from ranking.models import NeuralModel, TreeModel
from ranking.rankers import TREES
from ranking.rankers.network import Network
from ranking.shared import Shared
from ranking.shared_forest import SharedForest

ONNX, WEB = "onnx", "web"
KINDS = (ONNX, WEB)

HERE = Path(__file__).resolve().parent
MODELS = "models"
"""What it is called where its progress is shown."""


def export_models(
    suggester: Suggester,
    out: Path,
    kind: str,
    users: Sequence[str] = (),
    everyone: bool = False,
    tell: Tell = silent,
) -> Json:
    """Write models into a folder that is held, see `storage.fresh`.

    Args:
        suggester: of the run, whose public counts are `Shared`.
        out: where.
        kind: one of KINDS.
        users: whose models; none: the one that all share.
        everyone: the one that all share, if there is one, and all users'.
        tell: is told how far it is.

    Returns:
        The manifest.

    Raises:
        ConfigError: the run has no such model, it cannot be written in this format, or onnx is missing.
        DataError: there is no such user.
    """
    bundle = _Bundle(suggester, kind)
    chosen = _chosen(suggester, users, everyone)
    with whole(out) as building:
        (building / "users").mkdir()
        models = []
        for place, user in enumerate(chosen):
            tell(MODELS, place, len(chosen))
            models.append(bundle.write(building, user))
        tell(MODELS, len(chosen), len(chosen))
        said = bundle.said() | {"models": models}
        _write(building / "public.json", public_tables(bundle.public, bundle.numbers))
        _write(building / "recipe.json", recipe(suggester.candidates))
        _write(building / MANIFEST, said)
        for file in (HERE / "page").iterdir() if kind == WEB else [HERE / "guide.md"]:
            shutil.copyfile(file, building / ("README.md" if kind == ONNX else file.name))
        if chosen == [GUEST]:
            (building / "users").rmdir()
    return said


def _chosen(suggester: Suggester, users: Sequence[str], everyone: bool) -> list[int]:
    """Numbers of users, GUEST for the model that all share."""
    common = [GUEST] if suggester.model.has_common else []
    if everyone:
        return [*common, *range(len(suggester.users))]
    if not users and not common:
        raise ConfigError(
            "all users of this run have models of their own, and share none: use --user or --all."
        )
    number = {name: place for place, name in enumerate(suggester.users)}
    for user in users:
        if user not in number:
            near = get_close_matches(user, suggester.users, 1) or suggester.users[:1]
            raise DataError(f"there is no user {user!r} in this run's data; one is {near[0]!r}.")
    return [number[user] for user in dict.fromkeys(users)] or common


class _Bundle:
    """What is written of a run in one format; arguments as of `export_models`."""

    def __init__(self, suggester: Suggester, kind: str) -> None:
        assert isinstance(suggester.candidates.public, Shared), "what few have searched is not told to others"
        self.public = suggester.candidates.public
        self.numbers = Numbers.of(self.public)
        assert suggester.run is not None, "models are of a run"
        self._suggester, self._kind, self._run = suggester, kind, suggester.run
        if kind == WEB and not isinstance(suggester.model, NeuralModel):
            raise ConfigError(
                f"the page ranks by networks, not by {self._run.settings.ranker_name}; --format onnx writes "
                "that in its own format."
            )

    def write(self, building: Path, user: int) -> Json:
        """Write the files of one model; what the manifest says of it."""
        suggester, place = self._suggester, "common" if user == GUEST else f"users/{user}"
        visit = suggester.guest() if user == GUEST else suggester.visit(user)
        standing = suggester.candidates.standing(visit)
        content, suffix = self._model(visit, standing)
        everybodys = isinstance(suggester.model, TreeModel) and suggester.model.has_common
        model = f"{'common' if everybodys else place}.{suffix}"
        write_bytes(building / model, content)
        _write(building / f"{place}.json", past_of(standing, self.numbers))
        return {
            "user": None if user == GUEST else suggester.users[user],
            "own": suggester.models(visit).own,
            "model": model,
            "past": f"{place}.json",
        }

    def _model(self, visit: Visit, standing: Standing) -> tuple[bytes, str]:
        """What ranks for a visit's user, as a file, and its suffix."""
        model, user = self._suggester.model, visit.user
        if isinstance(model, NeuralModel):
            network, w = self._suggester.weights(visit, standing)
            if self._kind == WEB:
                return w[0].numpy().astype("<f4").tobytes(), "weights"
            return graph(network, w[0]), "onnx"
        if isinstance(model, SharedForest):
            return model.only([] if user == GUEST else [user]).dump(), "safetensors"
        assert isinstance(model, TreeModel), "there are no others"
        fitted = model.personal[user] if model.common is None else model.common
        return fitted.dump(), TREES[self._run.settings.ranker_name].SUFFIX.removeprefix(".")

    def said(self) -> Json:
        """What the manifest says of all models."""
        model, settings = self._suggester.model, self._run.settings
        said: Json = {
            "format": "persarank-models",
            "kind": self._kind,
            "run": self._run.directory.name,
            "fingerprint": self._run.fingerprint,
            "algorithm": settings.label,
            "ranker": settings.ranker_name,
            "queries": int(self.public.known.sum()),
        }
        if isinstance(model, NeuralModel):
            said |= _of_network(model.network) if self._kind == WEB else _inputs(model.network)
        return said


def _inputs(network: Network) -> Json:
    shape = network.architecture
    reads = shape is not None and shape.codes is not None
    return {
        "inputs": {name: told for name, told in INPUTS.items() if reads or name not in (CODES, TYPED)},
        "output": f"{SCORES} (N,) float64: the highest first; of equal ones the first",
    }


def _of_network(network: Network) -> Json:
    """What the page needs to know to read weights."""
    shape = network.architecture
    assert shape is not None, "every network has one"
    characters = None
    if shape.codes is not None:
        characters = {
            "length": shape.codes.shape[1],
            "embedding": shape.embedding,
            "width": shape.width,
            "filters": shape.filters,
        }
    parts = [{"name": name, "shape": list(size)} for name, size in network.layout.shapes.items()]
    return {"network": {"layers": len(shape.sizes) - 1, "characters": characters, "parts": parts}}


def _write(file: Path, said: Any) -> None:
    write_bytes(file, (json.dumps(said, ensure_ascii=False, allow_nan=False) + "\n").encode())
