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
from app.suggestions.visit import GUEST
from data.files import write_bytes
from data.manifests import MANIFEST
from data.progress import Tell, silent
from data.public_counts import bounds_of
from data.schema import DataError
from data.storage import whole
from ranking import shared_forest
from ranking.models import NeuralModel
from ranking.persistence import checked
from ranking.rankers.network import Network
from ranking.shared import Shared

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
        suggester: of the run, with counts that only queries have that enough users share.
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
            models.append(bundle.write(building, user, everyone))
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
        ranker = self._run.settings.ranker_name
        if not isinstance(suggester.model, NeuralModel):
            if kind == WEB:
                raise ConfigError(
                    f"the page ranks by networks, not by {ranker}; --format onnx writes it in its own format."
                )
            self._files = checked(self._run.directory, ranker)

    def write(self, building: Path, user: int, everyone: bool) -> Json:
        """Write the files of one model; what the manifest says of it."""
        name = "common" if user == GUEST else f"users/{user}"
        suggester = self._suggester
        visit = suggester.guest() if user == GUEST else suggester.visit(user)
        standing = suggester.candidates.standing(visit)
        _write(building / f"{name}.json", past_of(standing, self.numbers))
        if isinstance(suggester.model, NeuralModel):
            network, w = suggester.weights(visit, standing)
            suffix = "onnx" if self._kind == ONNX else "weights"
            content = graph(network, w[0]) if self._kind == ONNX else w[0].numpy().astype("<f4").tobytes()
        else:
            content, suffix = self._trees(user, everyone)
        write_bytes(building / f"{name}.{suffix}", content)
        own = suggester.models(visit).own
        return {
            "user": None if user == GUEST else suggester.users[user],
            "own": own,
            "model": f"{name}.{suffix}",
            "past": f"{name}.json",
        }

    def _trees(self, user: int, everyone: bool) -> tuple[bytes, str]:
        """A file of trees as the run has it, and its suffix."""
        if set(self._files) == {shared_forest.FILE}:
            if not everyone:
                raise ConfigError("a forest that all share holds the parts of all users: use --all.")
            found = shared_forest.FILE
        else:
            stem = "common" if self._suggester.model.has_common else f"user-{user:05d}"
            found = next(name for name in self._files if Path(name).stem == stem)
        return self._files[found], "".join(Path(found).suffixes).lstrip(".")

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
            "queries": len(self.numbers.queries),
            "public_counts": bounds_of(self._suggester.log.dataset.manifest) or "all",
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
