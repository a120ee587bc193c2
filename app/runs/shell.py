"""Commands as people paste them into a shell."""

import os
import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """The `persarank` command of these words, each of them quoted if the shell needs that."""
    return " ".join(["persarank", *(_quoted(word) for word in words)])


def _quoted(word: str | Path) -> str:
    """A word in quotes; a path is neither taken for an option nor for somebody's home directory."""
    text = str(word)
    if isinstance(word, Path) and text[0] in "-~":
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_escaped, text))}'"


def _escaped(character: str) -> str:
    """A character between $' and ', in ASCII if it could not be seen."""
    if character.isprintable() and character not in "'\\":
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
