"""Figures as RESULTS.md has them: tables, means with their intervals."""

from collections.abc import Iterable, Mapping, Sequence

NONE = "–"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells may hold Markdown, but no bar."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def span(interval: Mapping[str, float], digits: int = 3) -> str:
    """An interval alone."""
    return f"{interval['low']:.{digits}f} to {interval['high']:.{digits}f}"


def difference(interval: Mapping[str, float], digits: int = 3) -> str:
    """A mean difference with its interval, and signs."""
    mean, low, high = (f"{interval[name]:+.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
