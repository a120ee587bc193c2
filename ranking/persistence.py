"""Models on disk: safetensors, skops or LightGBM text, each file with its checksum; never a pickle.

``model.json`` lists the files with their SHA-256. A file that is missing, changed, of the wrong shape
or not finite is refused with a `ModelError` before anything of it is used.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from data.files import write_bytes
from ranking import shared_forest
from ranking.models import Model, NeuralModel, TreeModel
from ranking.rankers import TREES
from ranking.rankers.network import Network
from ranking.rankers.trees import ModelError
from ranking.shared_forest import SharedForest

NEURAL = "model.safetensors"
INDEX = "model.json"


def save(model: Model, directory: Path, ranker: str) -> dict[str, str]:
    """Write a model into a run directory; returns file name → SHA-256."""
    contents: dict[str, bytes] = {}
    if isinstance(model, NeuralModel):
        tensors = {"common": model.common, "personal": model.personal}
        kept = {name: t.contiguous() for name, t in tensors.items() if t is not None}
        contents[NEURAL] = save_tensors(kept)
    elif isinstance(model, SharedForest):
        contents[shared_forest.FILE] = model.dump()
    elif isinstance(model, TreeModel):
        suffix = TREES[ranker].SUFFIX
        fitted = {"common": model.common} if model.common else {}
        fitted |= {f"user-{user:05d}": own for user, own in enumerate(model.personal)}
        contents = {f"model/{name}{suffix}": own.dump() for name, own in fitted.items()}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    for name, content in contents.items():
        write_bytes(directory / name, content)
    write_bytes(directory / INDEX, (json.dumps({"ranker": ranker, "files": files}, indent=1) + "\n").encode())
    return files


def load(directory: Path, ranker: str, network: Network | None, users: int) -> Model:
    """Read what `save` wrote.

    Args:
        directory: a run directory.
        ranker: the run's ranker, a key of RANKERS.
        network: the network whose parameters are expected; None for tree rankers.
        users: U, how many users there must be models for.

    Raises:
        ModelError: anything about the files is not as it was written.
    """
    contents = checked(directory, ranker)
    if network is not None:
        return _neural(contents.get(NEURAL, b""), directory / NEURAL, network, users)
    if set(contents) == {shared_forest.FILE}:
        return shared_forest.load(contents[shared_forest.FILE], shared_forest.FILE, users)
    fitted = {Path(name).stem: TREES[ranker].load(content, name) for name, content in contents.items()}
    own = [f"user-{user:05d}" for user in range(users)]
    if set(fitted) not in ({"common"}, set(own)):
        raise ModelError(
            f"{directory} has {len(fitted)} models; there must be one for all or {users}, one a user."
        )
    return TreeModel(fitted.get("common"), [fitted[name] for name in own if name in fitted])


def checked(directory: Path, ranker: str) -> dict[str, bytes]:
    """The files of a model by name, as they were written.

    Raises:
        ModelError: one of them is missing or has changed.
    """
    path = directory / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_bytes())
        files = {str(Path(name)): str(checksum) for name, checksum in dict(index["files"]).items()}
        if index["ranker"] != ranker:
            raise ModelError(f"{path} belongs to the ranker {index['ranker']!r}, the run to {ranker!r}.")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is missing or unreadable: the model cannot be checked.") from error
    contents = {}
    for name, checksum in files.items():
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise ModelError(f"{path} names a file outside its directory: {name!r}.")
        if not (directory / name).is_file():
            raise ModelError(f"{directory / name} is missing.")
        contents[name] = (directory / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != checksum:
            raise ModelError(f"{directory / name} has changed since it was written: its checksum differs.")
    return contents


def _neural(content: bytes, path: Path, network: Network, users: int) -> NeuralModel:
    try:
        tensors = load_tensors(content)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a readable safetensors file.") from error
    size = network.layout.size
    expected = {"common": (size,), "personal": (users, size)}
    if not tensors or set(tensors) - set(expected):
        raise ModelError(f"{path} holds {sorted(tensors)}, not the parameters of a ranker.")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != expected[name] or tensor.dtype != torch.float32:
            raise ModelError(f"{path}: {name} is {tuple(tensor.shape)}, expected {expected[name]} float32.")
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: {name} holds values that are not finite.")
    return NeuralModel(network, tensors.get("common"), tensors.get("personal"))
