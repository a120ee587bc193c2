"""RESULTS.md: what came out of an experiment, how it was made, and what is known of its source."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from app.runs.directory import workplace
from data.files import write_bytes

PAGE, SPENT = "RESULTS.md", "spent.json"
LIBRARIES = ("persarank", "torch", "numba", "scikit-learn", "lightgbm")


@dataclass(frozen=True)
class Experiment:
    """One that `reproduce` can make.

    Attributes:
        title: its name, for people.
        asks: what it is to find out.
        known: what its source says about it.
        unknown: what its source does not say.
        full, quick: its scales, dataclasses with ``seeds``.
        make: makes what is missing of it in a directory: (out, scale, tell, **inputs), where the inputs are
            options of `reproduce`.
        markdown: its result as tables.
        figures: pictures that it draws, names without a suffix, and what they show, in words.
    """

    title: str
    asks: str
    known: str
    unknown: str
    full: Any
    quick: Any
    make: Callable[..., dict[str, Any]]
    markdown: Callable[[dict[str, Any]], str]
    figures: Mapping[str, str] = field(default_factory=dict)


def make(
    out: Path,
    experiment: Experiment,
    scale: Any,
    inputs: Mapping[str, Any],
    command: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Make an experiment, or what is missing of it, and RESULTS.md.

    Args:
        out: a directory.
        experiment: which one.
        scale: how large.
        inputs: files that it reads, by option.
        command: what the user has called.
        tell: is told what has been done.

    Returns:
        Its result. Errors are those of the experiment.
    """
    with _clock(out):
        result = experiment.make(out, scale, tell, **inputs)
    with workplace(out):
        write_bytes(out / PAGE, _page(out, experiment, scale, result, command).encode())
    return result


@contextmanager
def _clock(out: Path) -> Iterator[None]:
    """Add how long it takes to what has been spent in a directory, however it ends."""
    began = monotonic()
    try:
        yield
    finally:
        if out.is_dir():
            spent = _spent(out)
            now = {"seconds": spent["seconds"] + monotonic() - began, "calls": spent["calls"] + 1}
            write_bytes(out / SPENT, json.dumps(now).encode())


def _spent(out: Path) -> dict[str, float]:
    try:
        spent = json.loads((out / SPENT).read_bytes())
        return {"seconds": float(spent["seconds"]), "calls": int(spent["calls"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {"seconds": 0.0, "calls": 0}


def _page(out: Path, experiment: Experiment, scale: Any, result: dict[str, Any], command: str) -> str:
    pictures = [f"![{what}]({name}.svg)" for name, what in experiment.figures.items()]
    spent = _spent(out)
    calls = f", in {spent['calls']:.0f} calls" if spent["calls"] > 1 else ""
    sizes = ", ".join(f"{name} = {_told(value)}" for name, value in asdict(scale).items())
    parts = [
        f"# {experiment.title}",
        experiment.asks,
        f"    {command}",
        f"- Scale: {sizes}.\n- Time: {spent['seconds'] / 60:.1f} minutes{calls}.\n- {hardware()}",
        "## Results",
        experiment.markdown(result).rstrip(),
        *pictures,
        "All figures, in full, are in `result.json`.",
        "## The source",
        f"Known: {experiment.known}",
        f"Not known: {experiment.unknown}",
    ]
    return "\n\n".join(parts) + "\n"


def _told(value: Any) -> str:
    return " / ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def hardware() -> str:
    """What a measurement was made on, for people."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    where = f"{cores} cores of {_processor()}, {platform.system()}"
    return f"Hardware: {where}. Software: Python {platform.python_version()}, {versions}."


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
