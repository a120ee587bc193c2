"""Judges finished runs on held-out slates, beside yardsticks and, for simulated data, the truth."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.runs.directory import REPORT, Run, RunError, locked, open_run
from app.runs.scorers import Scorer, model_scorers, yardstick_scorers
from app.runs.verdict import ELSEWHERE, JUDGED, NOT_FINITE, OWN, Doubt, doubts, exchanged, told
from data.feature_sets import Data, open_data
from data.files import write_bytes
from data.progress import Tell, silent
from data.storage import read_manifest
from ranking.metrics import CUTOFF, paired_bootstrap, per_user, slate_metrics, summarise, with_cutoff
from ranking.slates import StoredSlates
from ranking.sources import Source, source_of

Metrics = dict[str, Tensor]
COMPARED = ("nmrr", "mrr@10")
"""Metrics whose differences are told."""

JUDGING = "judging"
"""What it is called where its progress is shown."""

COLD = 5
"""A user with fewer training events is cold."""


@dataclass(frozen=True)
class Ground:
    """One split of one dataset, with the yardsticks that do not depend on a run."""

    source: Source
    slates: StoredSlates
    baselines: dict[str, Metrics | None]
    cutoff: int = CUTOFF
    """Of the metrics that have one, e.g. ``mrr@10``."""


@dataclass(frozen=True)
class Judged:
    """One run on its ground: metrics (S,) of every slate by every ranking, and what is wrong with them."""

    run: Run
    ground: Ground
    split: str
    metrics: dict[str, Metrics | None]
    permuted: bool
    doubts: list[dict[str, str]]

    @property
    def compared(self) -> tuple[str, ...]:
        """COMPARED, at the cut-off of these metrics."""
        return tuple(with_cutoff(name, self.ground.cutoff) for name in COMPARED)

    @property
    def personal(self) -> Metrics:
        """The metrics of the users' own rankings, which every run has."""
        metrics = self.metrics["personal"]
        assert metrics is not None, "every run ranks personally"
        return metrics


def prepare(data: Path, split: str, tell: Tell = silent, cutoff: int = CUTOFF) -> Ground:
    """Read a dataset, build its slates and judge the yardsticks; ``tell`` is told how far that is.

    Raises:
        DataError: it is no dataset.
    """
    return ground_of(open_data(data, truth=True, tell=tell), split, tell, cutoff)


def ground_of(dataset: Data, split: str, tell: Tell = silent, cutoff: int = CUTOFF) -> Ground:
    """The same of a dataset that has been read."""
    source = source_of(dataset)
    slates = source.slates(split, None, tell)
    scorers = yardstick_scorers(source, split)
    baselines = {name: by and _metrics(slates, by, cutoff) for name, by in scorers.items()}
    return Ground(source, slates, baselines, cutoff)


def _metrics(slates: StoredSlates, scores: Scorer, cutoff: int, tell: Tell = silent) -> Metrics:
    """The metrics (S,) of all slates, given the scores (C, N) of some of them and their numbers."""
    parts, begin = [], 0
    tell(JUDGING, 0, len(slates))
    for some in slates.chunks(JUDGED):
        parts.append(slate_metrics(scores(some, slice(begin, begin + len(some))), some, cutoff))
        begin += len(some)
        tell(JUDGING, begin, len(slates))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def evaluate(
    directories: Sequence[Path],
    data: Path | None,
    split: str,
    permuted: bool = False,
    tell: Tell = silent,
    cutoff: int = CUTOFF,
) -> list[Judged]:
    """Judge every run on one split; runs on the same data share its preparation, wherever copies of it lie.

    With ``permuted`` every user is ranked by the next user's own model: a gain that survives is a leak.
    ``tell`` is told how far the work is; ``cutoff`` is that of the metrics.

    Raises:
        RunError, DataError, ModelError: see their modules.
    """
    runs = [open_run(directory) for directory in directories]
    grounds: dict[str, Ground] = {}
    for run in runs:
        if run.fingerprint not in grounds:
            run.require(read_manifest(run.source(data))["fingerprint"])  # before anything is made of it
            grounds[run.fingerprint] = prepare(run.source(data), split, tell, cutoff)
    return [judge(run, grounds[run.fingerprint], split, permuted, tell) for run in runs]


def judge(run: Run, ground: Ground, split: str, permuted: bool = False, tell: Tell = silent) -> Judged:
    """Score the split by the run's models."""
    scorers = model_scorers(run, ground.source, permuted)
    judged = {
        by: _metrics(ground.slates, by, ground.cutoff, tell) for by in dict.fromkeys(scorers.values()) if by
    }
    metrics = ground.baselines | {name: by and judged[by] for name, by in scorers.items()}
    lost = [warning for warning in run.summary.get("warnings", ()) if warning["kind"] == NOT_FINITE]
    found = doubts({name: m["nmrr"] for name, m in metrics.items() if m is not None}, ground.slates)
    nobody = (run.summary.get("own_models") or {}).get("nobody", False)
    elsewhere = run.summary.get("nodes") is not None
    if run.settings.personal and elsewhere:
        found.append(Doubt(ELSEWHERE, OWN, f"the users' own models {ELSEWHERE}: here the common one ranks."))
    elif run.settings.personal and not nobody and not lost and not found:
        own = scorers["personal"]
        assert own is not None, "every run ranks personally"
        found = exchanged(lambda some: own(some, slice(None)), ground.slates)
    return Judged(run, ground, split, metrics, permuted, lost + [asdict(doubt) for doubt in found])


def save_report(judged: Judged) -> None:
    """Write the run's report.json: what `describe` says, and every user's own figures.

    Raises:
        RunError: it is being trained, or has got another model since it was judged.
    """
    report = {"result": describe(judged), "users": users_table(judged)}
    run = judged.run
    content = json.dumps(report, indent=1, allow_nan=False) + "\n"
    with locked(run.directory):
        if open_run(run.directory).summary != run.summary:
            raise RunError(f"{run.directory} has been trained meanwhile.")
        write_bytes(run.directory / REPORT, content.encode())


def saved_users(directory: Path, fingerprint: str) -> dict[str, Any]:
    """Every user's figures in a run's report.json, as `save_report` has written them, by the user's name.

    Args:
        directory: of the run.
        fingerprint: of the dataset that the figures must be on.

    Raises:
        OSError: it cannot be read.
        RunError: it is damaged, or a report on other data.
    """
    path = directory / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["user"]: row for row in report["users"]}
        sound = all(map(_sound, rows.values()))
        of = report["result"].get("fingerprint")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged.") from error
    if not sound:
        raise RunError(f"{path} is damaged.")
    if of != fingerprint:
        raise RunError(f"{path} is a report on other data.")
    return rows


def _sound(row: dict[str, Any]) -> bool:
    """Whether the figures of a user can be ones; raises what `saved_users` takes for damage."""
    common = [value for value in row["global"].values() if value is not None]
    figures = [*row["personal"].values(), *common]
    known = {"accuracy", "mrr", "nmrr"} >= {name.partition("@")[0] for name in row["personal"]}
    return known and all(0 <= value <= 1 for value in figures) and int(row["slates"]) >= 1


def describe(judged: Judged, over: str = "users") -> dict[str, Any]:
    """What `evaluate --json` prints of one run; ``over`` as in `metrics.summarise`."""
    user = judged.ground.slates.user
    settings = judged.run.settings
    common = judged.metrics["global"]
    cold, share = _cold(judged, over)
    return {
        "run": str(judged.run.directory),
        "finished": judged.run.summary.get("finished", True),
        "algorithm": settings.label,
        "ranker": settings.ranker_name,
        "loss": settings.loss,
        "seed": settings.seed,
        "fingerprint": judged.run.fingerprint,
        "split": judged.split,
        "users": len(user.unique()),
        "all_users": len(judged.ground.source.users),
        "slates": len(user),
        "averaged_over": over,
        "cutoff": judged.ground.cutoff,
        "permuted": judged.permuted,
        "missed": int(judged.ground.slates.missed.sum()),
        "metrics": {name: _summary(metrics, user, over) for name, metrics in judged.metrics.items()},
        "personal_minus_global": {
            name: None if common is None else _difference(judged.personal, common, name, user, over)
            for name in judged.compared
        },
        "cold_users": {"users": cold, "personal_nmrr": share},
        "own_models": judged.run.summary.get("own_models"),
        "nodes": judged.run.summary.get("nodes"),
    } | told(judged.doubts)


def compare(judged: Judged, base: Judged, over: str = "users") -> dict[str, Any]:
    """The paired difference of two runs' personal rankings, or why there is none.

    ``gap_closed`` is None where no oracle is known, or where it is not surely better than ``base``.
    """
    report: dict[str, Any] = {
        "run": str(judged.run.directory),
        "against": str(base.run.directory),
        "averaged_over": over,
    }
    ours, theirs = judged.run.fingerprint, base.run.fingerprint
    if ours != theirs:
        why = f"the first ran on data {ours}, the second on {theirs}"
        return report | dict.fromkeys((*judged.compared, "gap_closed")) | {"why": why}
    user = judged.ground.slates.user
    report |= {
        name: _difference(judged.personal, base.personal, name, user, over) for name in judged.compared
    }
    oracle = judged.metrics["oracle"]
    gap = None if oracle is None else _difference(oracle, base.personal, "nmrr", user, over)
    return report | {"gap": gap, "gap_closed": _ratio(report["nmrr"], gap)}


def _ratio(part: dict[str, Any], whole: dict[str, Any] | None) -> float | None:
    """Which share of a difference another is, if that difference is surely above 0."""
    if whole is None or whole["low"] is None or whole["low"] <= 0:
        return None
    return float(part["mean"] / whole["mean"])


def users_table(judged: Judged) -> list[dict[str, Any]]:
    """Per user, by name: slates, and accuracy@k, MRR@k and NMRR of the global and the personal ranking."""
    user = judged.ground.slates.user
    names = judged.ground.source.users
    ids, counts = torch.unique(user, return_counts=True)
    rows: list[dict[str, Any]] = [
        {"user": names[u], "slates": c} for u, c in zip(ids.tolist(), counts.tolist(), strict=True)
    ]
    shown = [with_cutoff(name, judged.ground.cutoff) for name in ("accuracy@10", "mrr@10", "nmrr")]
    for ranking in ("global", "personal"):
        metrics = judged.metrics[ranking]
        for name in shown:
            values = [None] * len(rows) if metrics is None else per_user(metrics[name], user)[1].tolist()
            for row, value in zip(rows, values, strict=True):
                row.setdefault(ranking, {})[name] = value
    return rows


def _summary(metrics: Metrics | None, user: Tensor, over: str) -> dict[str, float] | None:
    return None if metrics is None else summarise(metrics, user, over)


def _difference(a: Metrics, b: Metrics, name: str, user: Tensor, over: str) -> dict[str, Any]:
    weights = None if over == "users" else torch.unique(user, return_counts=True)[1].numpy()
    return paired_bootstrap(per_user(a[name] - b[name], user)[1], weights=weights)


def _cold(judged: Judged, over: str) -> tuple[int, float | None]:
    """How many users had fewer than COLD training events, and their mean personal NMRR."""
    trained = judged.ground.source.trained()
    user, nmrr = judged.ground.slates.user, judged.personal["nmrr"]
    cold = torch.from_numpy(trained < COLD)[user]
    if not cold.any():
        return 0, None
    return len(user[cold].unique()), summarise({"nmrr": nmrr[cold]}, user[cold], over)["nmrr"]
