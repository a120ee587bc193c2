"""A node's own folder: its name, the secret that nodes share, and what it keeps of every training.

::

    name              a random name, by which the server knows its place again
    counting.key      the secret by which searches are hashed; all nodes have it, and the server does not
    trainings/ID/     settings.toml · texts.json · train, validation and test slates · own models
"""

import json
import secrets
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from app.runs.given import read_toml
from app.runs.settings import Settings, resolve
from app.runs.teaching import teaching
from data.files import write_bytes
from data.schema import SPLITS, DataError
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import RankingPolicy, learned
from ranking.rankers.network import Network
from ranking.slates import StoredSlates
from ranking.sources import Log

NAME, KEY, TRAININGS = "name", "counting.key", "trainings"
SETTINGS, TEXTS, OWN = "settings.toml", "texts.json", "own.safetensors"


@dataclass(frozen=True)
class Home:
    """The folder of a node."""

    directory: Path

    @property
    def name(self) -> str:
        """The node's name, which is drawn once."""
        file = self.directory / NAME
        if not file.is_file():
            write_bytes(file, secrets.token_hex(16).encode())
        return file.read_text()

    @property
    def key(self) -> bytes:
        """The secret that nodes share.

        Raises:
            DataError: there is none.
        """
        try:
            return (self.directory / KEY).read_bytes()
        except OSError as error:
            raise DataError(f"{self.directory / KEY} cannot be read: all nodes need the same one.") from error

    def training(self, name: str) -> "Kept":
        """What is kept of a training, by its name, which a server has sent.

        Raises:
            ValueError: that is no name.
        """
        if not (name.isalnum() and name.isascii() and len(name) <= 64):
            raise ValueError("no name of a training")
        return Kept(self.directory / TRAININGS / name)


class About(NamedTuple):
    """What is known of a training's slates: texts of the queries, names of the users, number of features."""

    texts: list[str]
    users: list[str]
    features: int


@dataclass(frozen=True)
class Kept:
    """What a node keeps of one training."""

    directory: Path

    @property
    def ready(self) -> bool:
        """Whether all is there; the texts are written last."""
        return (self.directory / TEXTS).is_file()

    def prepare(self, settings: str, source: Log) -> None:
        """Make everything that updates need, once."""
        write_bytes(self.directory / SETTINGS, settings.encode())
        for split in SPLITS:
            write_bytes(self._slates(split), _dumped(_of(source, split)))
        about = About(source.texts or [], source.users, len(source.feature_names))
        write_bytes(self.directory / TEXTS, json.dumps(about).encode())

    @property
    def settings(self) -> Settings:
        """Of the training."""
        given, overrides = read_toml(self.directory / SETTINGS)
        return resolve(given, overrides, begun=True)

    @property
    def about(self) -> About:
        """See `About`."""
        return About(*json.loads((self.directory / TEXTS).read_text()))

    def slates(self, split: str) -> StoredSlates:
        """Those of a split."""
        return _loaded(self._slates(split))

    def task(self, settings: Settings) -> RankingTask | RankingPolicy:
        """What its users learn."""
        train, names = self.slates("train"), self.about.users
        rows = teaching(train, names)
        network = self.network(settings)
        task = RankingTask.of(network, settings.loss, train, self.slates("validation"), len(names), rows)
        return learned(task, settings.row.policy)

    def network(self, settings: Settings) -> Network:
        """What is trained."""
        return settings.network(self.about.features, self.about.texts)

    def keep_own(self, own: Tensor) -> None:
        """Write the users' own models (U, P) down; slates are no longer needed."""
        write_bytes(self.directory / OWN, save({"personal": own.contiguous()}))

    def forget_slates(self) -> None:
        """Free the disk when a training is over."""
        (self.directory / TEXTS).unlink(missing_ok=True)
        for split in SPLITS:
            self._slates(split).unlink(missing_ok=True)

    def _slates(self, split: str) -> Path:
        return self.directory / f"{split}.safetensors"


def write_secret(file: Path, content: bytes) -> None:
    """A file that only its owner can read."""
    write_bytes(file, b"")
    file.chmod(0o600)
    file.write_bytes(content)


def _of(source: Log, split: str) -> StoredSlates:
    """The slates of a split; none where no user has any to be judged by."""
    try:
        return source.slates(split)
    except DataError:
        if split == "train":
            raise
        return StoredSlates.empty(torch.zeros(0, dtype=torch.int64), len(source.feature_names))


def _dumped(slates: StoredSlates) -> bytes:
    tensors = {f.name: getattr(slates, f.name) for f in fields(slates) if f.name not in ("widest", "grade")}
    return save(tensors, {"widest": str(slates.widest)})


def _loaded(file: Path) -> StoredSlates:
    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        about = opened.metadata() or {}
    return StoredSlates(**tensors, widest=int(about["widest"]))
