"""How long work tells how far it is."""

from collections.abc import Callable

Tell = Callable[[str, int, int], None]
"""Is told a phase, how much of it is done, and how much there is; it may raise to stop the work."""
UNKNOWN = 0
"""How much there is where nobody can know."""


READING = "reading"
"""What reading a log or a dataset is called."""


def silent(phase: str, done: int, total: int) -> None:
    """Tells nobody."""
