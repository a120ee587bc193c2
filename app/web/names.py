"""Names of new runs and datasets, short and free: they become the last part of a path."""

import re
from pathlib import Path

ALLOWED = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
ODD = re.compile(r"[^a-z0-9]+")
LONGEST = 60


def free_name(room: Path, wish: str, otherwise: str) -> str:
    """A name like ``wish`` that nothing in a folder has.

    Args:
        room: the folder.
        wish: any text.
        otherwise: the name if nothing of that text can be kept.
    """
    plain = ODD.sub("-", wish.lower()).strip("-")[: LONGEST - 5] or otherwise
    names = (plain, *(f"{plain}-{number}" for number in range(2, 1000)))
    return next((name for name in names if not (room / name).exists()), plain)


def what_is_wrong(room: Path, name: str) -> str | None:
    """Why nothing new in a folder can have this name, if it cannot."""
    if not ALLOWED.fullmatch(name):
        return (
            "A name has small letters, digits, dots, dashes and underscores, up to 60; it begins with a "
            "letter or a digit."
        )
    if (room / name).exists():
        return f"There is something at {room.name}/{name} already: choose another name."
    return None
