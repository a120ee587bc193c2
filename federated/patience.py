"""Whether those who wait for long work still want it, and work that would take for ever."""

from typing import Protocol


class Interrupted(KeyboardInterrupt):
    """Nobody waits for what was being computed. Nothing is spoiled: it can be computed again."""


class EndlessError(Exception):
    """Settings by which an update would take for ever, or more memory than there is."""


class Patience(Protocol):
    """Is asked by long work, from any thread, many times a second."""

    def __call__(self) -> None:
        """Raise Interrupted if nobody wants to wait any longer."""
        ...


class Unbounded:
    """Waits for ever."""

    def __call__(self) -> None:
        """Go on."""
