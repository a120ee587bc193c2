"""What the runs say: rates, medians, the gate, ratios and targets, and the document that holds them."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from workload import UPDATE_FLOPS

Result = dict[str, Any]
Summary = dict[str, Any]

WORKLOADS = ("w-sync", "w-async", "w-me", "w-scale")
OURS = "persarank"
SKIPPED_ROUNDS = 2
"""Rounds at the start of a run that do not count as steady state, for every engine."""
TOLERANCE = 1e-4
"""Relative difference of gate losses that is still the same result."""


@dataclass(frozen=True)
class Target:
    """A ratio of medians of one run, and what it should be at least (or at most)."""

    workload: str
    over: str
    under: str
    bound: float


AT_LEAST = (
    Target("w-sync", "persarank", "flower", 80),
    Target("w-sync", "persarank", "pfl", 40),
    Target("w-sync", "persarank", "drjax", 2.5),
    Target("w-async", "persarank", "loop", 25),
    Target("w-me", "persarank", "loop", 40),
    Target("w-me", "persarank", "pfllib", 50),
)
COST_RATIO = 1.3
MEMORY_MB = 1024
PEAK = 0.6


def rate(result: Result) -> float:
    """Client updates per second in steady state."""
    if "round_seconds" not in result:
        return float(result["updates"] / result["seconds"])
    seconds = result["round_seconds"]
    steady = seconds[SKIPPED_ROUNDS:] or seconds  # PFLlib's engine has left its first rounds out itself
    return float(result["updates_per_round"] * len(steady) / sum(steady))


def summarise(workload: str, runs: list[Result], peak_gflops: float) -> Summary:
    """All repeats of one engine; ``compile_cold_s`` is the first, which found no compiled program."""
    rates = [rate(run) for run in runs]
    compiling = [run.get("compile_s", 0.0) for run in runs]
    flops = UPDATE_FLOPS.get(workload, UPDATE_FLOPS["w-sync"])
    return {
        "updates_per_s": median(rates),
        "runs": rates,
        "gemm_fraction": median(rates) * flops / (peak_gflops * 1e9),
        "peak_memory_mb": max(run["peak_memory_mb"] for run in runs),
        "start_s": median(run.get("import_s", 0.0) + run["start_s"] for run in runs),
        "compile_cold_s": compiling[0],
        "compile_cached_s": median(compiling[1:] or compiling),
        "gate_loss": runs[0]["gate_loss"],
    }


def disagreements(runs: dict[str, list[Result]]) -> list[str]:
    """A sentence for each engine whose gate loss is not PersaRank's; one without a gate passes."""
    if "persarank" not in runs:
        return []
    reference = runs["persarank"][0]["gate_loss"]
    return [
        f"{name} reaches the loss {loss:.7f} where persarank reaches {reference:.7f}"
        for name, results in runs.items()
        for loss in [_furthest(results, reference)]
        # Written so that NaN, which compares false with everything, does not pass.
        if loss is not None and not abs(loss - reference) <= TOLERANCE * abs(reference)
    ]


def _furthest(results: list[Result], reference: float) -> float | None:
    losses = [run["gate_loss"] for run in results if run["gate_loss"] is not None]
    nan = [loss for loss in losses if loss != loss]
    return nan[0] if nan else max(losses, key=lambda loss: abs(loss - reference), default=None)


def published(workload: str, engines: dict[str, Summary]) -> dict[str, Any]:
    """A workload's entry; its fraction and memory are PersaRank's."""
    if workload == "w-scale":
        return {users: published("", {"persarank": summary}) for users, summary in engines.items()}
    return {
        "engines": {name: summary["updates_per_s"] for name, summary in engines.items()},
        "gemm_fraction": engines["persarank"]["gemm_fraction"],
        "peak_memory_mb": engines["persarank"]["peak_memory_mb"],
    }


def ratios(engines: dict[str, Summary]) -> dict[str, float]:
    """How many times faster ours is than each other engine."""
    speed = {name: summary["updates_per_s"] for name, summary in engines.items()}
    return {name: speed[OURS] / other for name, other in speed.items() if name != OURS and OURS in speed}


def targets(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All targets that the document has figures for; ``met`` says whether."""
    found = []
    for target in AT_LEAST:
        speed = document.get(target.workload, {}).get("engines", {})
        if target.over in speed and target.under in speed:
            value = speed[target.over] / speed[target.under]
            what = f"{target.workload}: {target.over} / {target.under}"
            found.append({"what": what, "value": value, "at_least": target.bound})
    if (peak := document.get("w-sync", {}).get("gemm_fraction")) is not None:
        found.append({"what": "w-sync: share of the GEMM peak", "value": peak, "at_least": PEAK})
    found += _scale_targets(document.get("w-scale", {}))
    return [
        entry | {"met": entry.get("at_least", 0) <= entry["value"] <= entry.get("at_most", float("inf"))}
        for entry in found
    ]


def _scale_targets(scale: dict[str, Any]) -> list[dict[str, Any]]:
    if not {"200", "20000"} <= scale.keys():
        return []
    few, many = (scale[users]["engines"]["persarank"] for users in ("200", "20000"))
    memory = scale["20000"]["peak_memory_mb"]
    return [
        {
            "what": "w-scale: cost of an update, 20,000 users / 200",
            "value": few / many,
            "at_most": COST_RATIO,
        },
        {"what": "w-scale: peak memory at 20,000 users, MiB", "value": memory, "at_most": MEMORY_MB},
    ]
