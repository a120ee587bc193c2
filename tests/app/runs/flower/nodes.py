"""Nodes inside a test: orders are done in this process, but all that is said goes through Flower's bytes."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from app.runs.directory import open_started
from app.runs.flower.home import KEY
from app.runs.flower.job import Elsewhere
from app.runs.flower.learning import OnFlower
from app.runs.flower.node import work
from app.runs.settings import resolve
from app.runs.training import resume_run, train_run
from data.dealing import deal
from data.files import write_bytes
from data.public_counts import Bounds
from data.storage import read_manifest
from federated.engines.messages import Content, Reply

SECRET = bytes(range(32))
Spoil = Callable[[str, Content], Content]


@dataclass
class LocalPost:
    """Nodes of this process, each with its folder.

    Attributes:
        configs: of the nodes, by number.
        wire: the bytes of everything that nodes have answered.
        spoil: what becomes of answers, by node.
        failed: what went wrong on nodes, which the server is not told.
    """

    configs: dict[int, dict[str, str]]
    wire: list[bytes] = field(default_factory=list)
    spoil: dict[int, Spoil] = field(default_factory=dict)
    failed: list[Exception] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    _replies: dict[str, Reply] = field(default_factory=dict)

    def nodes(self) -> list[int]:
        return list(self.configs)

    def send(self, node: int, kind: str, content: Content, within: float) -> str | None:
        if node not in self.configs:
            return None
        name = f"message {len(self.kinds)}"
        self.kinds.append(kind)
        try:
            answer = work(kind, through_flower(kind, content)[1], self.configs[node])
        except Exception as error:
            self.failed.append(error)
            self._replies[name] = Reply(name, None, "the node could not do it")
            return name
        answer = self.spoil[node](kind, answer) if node in self.spoil else answer
        sent, received = through_flower(kind, answer)
        self.wire.append(sent)
        self._replies[name] = Reply(name, received)
        return name

    def fetch(self, names: Collection[str]) -> list[Reply]:
        return [self._replies.pop(name) for name in names if name in self._replies]


def through_flower(kind: str, content: Content) -> tuple[bytes, Content]:
    """The bytes of a content as Flower sends it, and what is read of them."""
    from federated.engines.flower.messages import packed, unpacked

    records = packed(kind, content)
    parts = [records.config_records["plain"].deflate()]
    parts += [array.data for array in records.array_records["arrays"].values()]
    return b"".join(parts), unpacked(records)[1]


def network(data: Path, nodes: int, out: Path) -> LocalPost:
    """A dataset dealt out to nodes that share a secret."""
    configs = {}
    for number, folder in enumerate(deal(data, nodes, out / "data"), start=1):
        home = out / "homes" / str(number)
        write_bytes(home / KEY, SECRET)
        configs[number] = {"data": str(folder), "home": str(home)}
    return LocalPost(configs)


def trained(
    post: LocalPost, data: Path, out: Path, updates: int, until: int | None = None, **given: Any
) -> dict[str, Any]:
    """The summary of a training on these nodes; it goes on where one has begun."""
    overrides = given.pop("overrides", {})
    head = {"algorithm": "persa-fl-me", "engine": "flower", "updates": updates, "evaluations": 2} | given
    settings = resolve(head, {"engine.batch_users": 4, **overrides})
    manifest = read_manifest(data)
    learner = OnFlower(post, len(post.configs), Bounds.of(manifest) or Bounds())
    elsewhere = Elsewhere(manifest["fingerprint"])
    if (out / "config.toml").exists():
        return resume_run(open_started(out), elsewhere, ignore, ignore, until=until, learner=learner)
    return train_run(settings, data, elsewhere, out, ignore, until=until, learner=learner)


def ignore(*_: Any) -> None:
    """Nobody watches."""


LONG = "a query that one person types"


def log_with_secrets(path: Path, users: int = 9) -> list[str]:
    """A log in which all search common things, and each something of their own; those are returned."""
    rows, secrets = [], []
    for user in range(users):
        own = [f"{LONG} {user}-{number}" for number in range(3)]
        secrets += own
        for step in range(40):
            text = own[step % 3] if step % 4 == 0 else f"common search {(step * (user + 1)) % 7}"
            rows.append((f"person-{user:03d}", 1_600_000_000 + 977 * step + user, text, "everybody"))
    pd.DataFrame(rows, columns=["user", "time", "query", "group"]).to_csv(path, index=False)
    return secrets
