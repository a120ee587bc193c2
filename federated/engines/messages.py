"""What travels between a server and its nodes, whoever carries it: orders one way, answers the other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

ORDER = "order"
"""An order's own number, which its answer repeats: an old answer does not pass for a new one."""


@dataclass(frozen=True)
class Content:
    """What a message holds.

    Attributes:
        plain: JSON values by name.
        arrays: numbers by name.
    """

    plain: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def array(self, name: str, kind: type[np.generic], *shape: int) -> NDArray[Any]:
        """One of the arrays.

        Raises:
            ValueError: there is none of this name, kind and shape.
        """
        found = self.arrays.get(name)
        if found is None or found.dtype != np.dtype(kind) or found.shape != shape:
            raise ValueError(f"no {name} of the shape {shape}")
        return found


class Reply(NamedTuple):
    """What came back for the message ``to``: a content, or else words for what went wrong."""

    to: str
    content: Content | None
    error: str = ""


class Post(Protocol):
    """Carries messages and never waits. What it does is at most once: a message or its reply can be lost."""

    def nodes(self) -> list[int]:
        """The nodes that are there now."""
        ...

    def send(self, node: int, kind: str, content: Content, within: float) -> str | None:
        """Put a message on its way, for which an answer is awaited for so many seconds.

        Returns:
            Its name, or None where that failed.
        """
        ...

    def fetch(self, names: Collection[str]) -> list[Reply]:
        """The replies to these messages that have come until now, each of them once."""
        ...
