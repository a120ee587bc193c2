"""The program's door: `main` is the command line, `PersonalRanker` the Python API.

It stands under a name of its own, since `app` is what many a project calls a package.

Installed, this file lies beside `app`; in a working copy it lies inside. Whatever else of that name is on
Python's path, the `app` that it belongs to is imported.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.suggestions.personal_ranker import PersonalRanker

__all__ = ["PersonalRanker", "main"]

HERE = os.path.dirname(os.path.abspath(__file__))
BESIDE_APP = HERE if os.path.isdir(os.path.join(HERE, "app")) else os.path.dirname(os.path.dirname(HERE))

sys.path.insert(0, BESIDE_APP)
importlib.import_module("app")  # which finds its own neighbours
sys.path.remove(BESIDE_APP)


def main() -> None:
    """Run the command line."""
    importlib.import_module("app.commands.main").main()


def __getattr__(name: str) -> Any:
    """`PersonalRanker`, of which the command line has no need: it is imported when it is asked for."""
    if name == "PersonalRanker":
        return importlib.import_module("app.suggestions.personal_ranker").PersonalRanker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
