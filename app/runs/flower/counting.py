"""What is public of users' searches: summed over nodes by a server that sees only what enough users share."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from app.runs.directory import PUBLIC, RunError
from data.files import write_bytes
from data.progress import Tell
from data.public_counts import Bounds
from federated.engines.fleet import Fleet
from federated.engines.messages import Content
from ranking.public_tables import Marks, Named, PublicTables
from ranking.summing import disagreeing, passing, require_named, together

TABLES, TOLD = PUBLIC
COUNTING = "counting"
"""What is shown while it lasts."""


@dataclass
class Public:
    """What is public, and of which training.

    Attributes:
        tables: the sums.
        told: the names of the nodes that have told their part.
        training: a random name, by which nodes know the training.
    """

    tables: PublicTables
    told: frozenset[str]
    training: str

    def write(self, out: Path) -> None:
        """Into a run's directory."""
        write_bytes(out / TABLES, self.tables.to_bytes())
        write_bytes(out / TOLD, json.dumps([self.training, sorted(self.told)]).encode())

    @classmethod
    def read(cls, out: Path) -> "Public":
        """What `write` wrote.

        Raises:
            RunError: it is not there, or damaged.
        """
        try:
            tables = PublicTables.from_bytes((out / TABLES).read_bytes())
            training, told = json.loads((out / TOLD).read_text())
            return cls(tables, frozenset(told), str(training))
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{out} is a broken run directory: {TABLES} or {TOLD} is damaged.") from error


def count(fleet: Fleet, bounds: Bounds, tell: Tell) -> Public:
    """Sum the public counts of all nodes that are there.

    Nodes first tell keyed hashes, then the names of what enough users of all of them tell of. Who answers
    wrongly, or not at all, is left out.
    """
    there = fleet.nodes()
    tell(COUNTING, 0, 2)
    marks: dict[int, Marks] = {}
    names: dict[int, str] = {}
    for node, answer in fleet.ask("marks", {node: Content() for node in there}).items():
        with fleet.checked():
            one = Marks(answer.arrays["hashes"], answer.arrays["tellers"])
            passing([one], 1)
            marks[node], names[node] = one, str(answer.plain["name"])
    passed = passing(list(marks.values()), bounds.users)
    tell(COUNTING, 1, 2)
    replies = {}
    for node, answer in fleet.ask("names", {node: Content({}, {"passed": passed}) for node in marks}).items():
        with fleet.checked():
            named = Named.from_bytes(answer.arrays["named"].tobytes(), bounds)
            require_named(named, marks[node], passed, bounds)
            replies[node] = (marks[node], named)
    for node in disagreeing({node: named for node, (_, named) in replies.items()}):
        with fleet.checked():
            del replies[node]
            raise ValueError("a node with another key")
    tables = together(list(replies.values()), passed, bounds)
    return Public(tables, frozenset(names[node] for node in replies), secrets.token_hex(16))
