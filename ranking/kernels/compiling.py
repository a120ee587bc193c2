"""How kernels are compiled, and where the compiled code is kept for the next start.

Numba keeps it by the file that a function stands in, and does not notice that another file has changed whose
function it calls. So it is kept in a folder named by the content of all files of this package.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from data.files import cache as cache_of_user

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
    places = [Path(config.CACHE_DIR)] if config.CACHE_DIR else [HERE / "__pycache__"]
    with suppress(ValueError):
        places += [] if config.CACHE_DIR else [cache_of_user() / "persarank"]
    for place in places:
        try:
            (place / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place / name, os.W_OK):
            return place / name
    return None
