"""What a person touches: the command line, the suggestion service, the web page."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Must be set before torch is loaded. Threads that spin for long while they wait starve each other as soon
# as anything else wants the processors (15 times slower beside one busy process); threads that sleep at
# once lose a third on a quiet machine. A short spin keeps both speeds.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Where the program's packages lie."""


class _Neighbours:
    """Finds the packages beside this one there and nowhere else: their names are common, and a user's
    working directory or PYTHONPATH may hold other things of the same names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        return PathFinder.find_spec(name, [ROOT]) if name in ("data", "ranking", "federated") else None


sys.meta_path.insert(0, _Neighbours())
