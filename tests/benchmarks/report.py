"""The benchmark's document as tables."""

from typing import Any

from results import SKIPPED_ROUNDS, WORKLOADS
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def show(document: dict[str, Any], console: Console) -> None:
    """Print engines, what was left out and why, then targets."""
    console.print(engines(document))
    for workload, detail in document["detail"].items():
        for name, reason in detail["left_out"].items():
            console.print(f"{workload} without {name}: {reason}", markup=False)
    if document["targets"]:
        console.print(targets(document))


def engines(document: dict[str, Any]) -> Table:
    """A section for each workload, a line for each engine."""
    machine = document["machine"]
    table = Table(
        title=f"Client updates per second, {machine['cores']} cores, PyTorch {machine['torch']}",
        caption=f"Medians of all repeats in steady state, after {SKIPPED_ROUNDS} rounds. ×: how many times "
        "slower than PersaRank. Compile: the first time, then from its cache.",
        box=SIMPLE_HEAD,
    )
    table.add_column("", no_wrap=True)
    for name in ("updates/s", "min–max", "×", "GEMM", "MiB", "start s", "compile s"):
        table.add_column(name, justify="right", no_wrap=True)
    for workload in (name for name in WORKLOADS if name in document["detail"]):
        detail = document["detail"][workload]
        table.add_row(f"[bold]{workload}[/bold]")
        for name, summary in detail["engines"].items():
            table.add_row(name, *_cells(name, summary, detail["ratios"]))
        table.add_section()
    return table


def _cells(name: str, summary: dict[str, Any], ratios: dict[str, float]) -> list[str]:
    cold, cached = summary["compile_cold_s"], summary["compile_cached_s"]
    return [
        f"{summary['updates_per_s']:,.0f}",
        f"{min(summary['runs']):,.0f}–{max(summary['runs']):,.0f}",
        f"{ratios[name]:.1f}" if name in ratios else "",
        f"{summary['gemm_fraction']:.1%}",
        f"{summary['peak_memory_mb']:,.0f}",
        f"{summary['start_s']:.1f}",
        f"{cold:.1f}, {cached:.1f}" if cold > 0.05 else "",
    ]


def targets(document: dict[str, Any]) -> Table:
    """A line for each target."""
    table = Table("target", "measured", "bound", "met", title="Targets", box=SIMPLE_HEAD)
    for entry in document["targets"]:
        bound = f"≥ {entry['at_least']:g}" if "at_least" in entry else f"≤ {entry['at_most']:g}"
        table.add_row(entry["what"], f"{entry['value']:,.2f}", bound, "yes" if entry["met"] else "no")
    return table
