"""How kernels are compiled, and where the compiled code is kept for the next start.

Numba keeps it by the file that a function stands in, and does not notice that another file has changed whose
function it calls. So it is kept in a folder named by the content of all files of this package.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

HERE = Path(__file__).parent
config: Any = numba.config


def compiled(function: Function) -> Function:
    """The function as machine code, made when it is first called; it does not hold Python's lock."""
    kept = _folder()
    usual, config.CACHE_DIR = config.CACHE_DIR, str(kept or "")
    try:
        return cast(Function, numba.njit(nogil=True, cache=kept is not None)(function))
    finally:
        config.CACHE_DIR = usual


@cache
def _folder() -> Path | None:
    """Where compiled code is kept: beside the sources, or in the user's cache; None: nowhere."""
    sources = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))
    name = f"kernels-{hashlib.sha256(sources).hexdigest()[:16]}"
    places = [HERE / "__pycache__"]
    if given := config.CACHE_DIR:
        places = [Path(given)]
    elif home := os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME"):
        places.append(Path(home) / ("persarank" if "XDG_CACHE_HOME" in os.environ else ".cache/persarank"))
    for place in places:
        try:
            (place / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place / name, os.W_OK):
            return place / name
    return None
