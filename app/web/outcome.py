"""How a command has ended: what it has left, and what it said last."""

from pathlib import Path

from app.runs.directory import RunError, finished


def is_finished(run: Path) -> bool:
    """Whether a place holds a run that has nothing left to do."""
    try:
        return finished(run) is not None
    except RunError:
        return False


def last_sentence(text: str) -> str:
    """What the program said last; of a usage error the words without the frame around them."""
    lines = [line.strip(" │╭╮╰╯─") for line in text.splitlines()]
    return next((line.removeprefix("persarank: ") for line in reversed(lines) if line), "")
