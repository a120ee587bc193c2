"""Cells of an experiment: each is one way to train, on every dataset and seed, and how its models rank."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.experiments.children import run_all
from app.experiments.own_models import together
from app.experiments.tuning.rung import LOST_OR_WORTHLESS
from app.experiments.workspace import imported, missing, once, simulated
from app.runs.directory import SUMMARY, finished, open_run
from app.runs.evaluation import Ground, judge, prepare
from data.files import write_bytes
from data.storage import sha256
from ranking.metrics import per_user
from ranking.persistence import NEURAL

Users = NDArray[np.float64]
"""(U,) a figure of each user, those of all seeds together (see `own_models.together`)."""

Sources = Mapping[str, Mapping[int, Path]]
"""Dataset → seed → its directory."""


@dataclass(frozen=True)
class Cell:
    """How one training is done.

    Attributes:
        algorithm: its name.
        updates: client updates that arrive.
        sets: hyper-parameters.
    """

    algorithm: str
    updates: int
    sets: Mapping[str, Any] = field(default_factory=dict)

    def options(self, seed: int) -> dict[str, Any]:
        """Of `persarank train`: the last model is kept, since to choose one would ask validation slates."""
        given = {"algorithm": self.algorithm, "ranker": "mlp", "updates": self.updates, "seed": seed}
        return given | {"evaluations": 0, "keep": "last"}


@dataclass(frozen=True)
class Runs:
    """The finished runs of one cell on one dataset, by seed, with the directories of their data.

    Attributes:
        places: of the runs.
        data: of what each was trained on.
        kept: where figures that took time are.
        ground: test slates of a dataset.
    """

    places: Mapping[int, Path]
    data: Mapping[int, Path]
    kept: Path
    ground: Callable[[Path], Ground]

    @property
    def diverged(self) -> bool:
        """Whether a training ended since its updates were no longer finite; then there are no figures.

        Where own models alone are not finite, the common one ranks.
        """
        return any(
            _mark(place).is_file() and not (place / SUMMARY).is_file() for place in self.places.values()
        )

    @property
    def summaries(self) -> list[dict[str, Any]]:
        """What every training said in the end."""
        return [open_run(place).summary for place in self.places.values()]

    @property
    def refused(self) -> float:
        """The part of all updates that were not merged, the mean over seeds."""
        parts = [sum(one["refused"].values()) / one["updates"] for one in self.summaries]
        return float(np.mean(parts))

    def validation(self, ranking: str = "global") -> float:
        """NMRR on validation slates, mean over seeds, by the common (``global``) or ``personal`` models."""
        return float(np.mean([summary["validation_nmrr"][ranking] for summary in self.summaries]))

    @cached_property
    def test(self) -> dict[str, Users]:
        """NMRR of users on test slates by ``global`` and by ``personal`` models."""
        some = [
            _judged(self.kept, run, partial(self.ground, self.data[seed]))
            for seed, run in self.places.items()
        ]
        marks = [open_run(run).fingerprint for run in self.places.values()]
        return {
            ranking: together([np.array(one[ranking]) for one in some], marks)
            for ranking in ("global", "personal")
        }


def datasets(
    out: Path, users: int, seeds: Sequence[int], shell: Path | None, tell: Callable[[str], None]
) -> dict[str, dict[int, Path]]:
    """Dataset → seed → directory: simulated users, and the log of shell commands where it is given.

    Raises:
        RunError: there is other data already.
        DataError: the log is not one.
    """
    found = {"simulated": simulated(out, users, seeds, tell)}
    if shell is not None:
        found["shell"] = dict.fromkeys(seeds, imported(out, "shell", shell, "training", tell))
    return found


def train(
    out: Path, cells: Mapping[tuple[str, str], Cell], sources: Sources, tell: Callable[[str], None]
) -> dict[tuple[str, str], Runs]:
    """Train what is missing, all of the first seed first.

    Args:
        out: directory of the experiment.
        cells: by dataset and name.
        sources: the datasets.
        tell: is told of every training that has ended.

    Raises:
        RunError: a run is there that is another one.
        ChildError: a training failed otherwise than that it diverged.
    """
    ground = cache(partial(prepare, split="test"))  # its slates take longer than to judge a run by them
    runs = {
        (data, name): Runs(
            {seed: out / "runs" / data / f"{name}-{seed}" for seed in sources[data]},
            sources[data],
            out / "judged" / data,
            ground,
        )
        for data, name in cells
    }
    needed: list[tuple[int, Path, list[str]]] = []
    for (data, name), cell in cells.items():
        for turn, (seed, place) in enumerate(runs[data, name].places.items()):
            if not _mark(place).is_file():
                command = missing(place, sources[data][seed], cell.options(seed), dict(cell.sets))
                needed += [(turn, place, command)] if command else []
    needed.sort(key=lambda one: one[0])
    failed = run_all([command for *_, command in needed], tell, forgiven=LOST_OR_WORTHLESS)
    for number, error in failed.items():
        place = needed[number][1]
        if not finished(place):
            if "finite" not in error.words:
                raise error
            write_bytes(_mark(place), f"{error.words}\n".encode())
    return runs


def _mark(run: Path) -> Path:
    """The file that says that a training has diverged, and in which words."""
    return run.with_name(f"{run.name}.diverged")


def _judged(kept: Path, run: Path, ground: Callable[[], Ground]) -> dict[str, list[float]]:
    """NMRR of each user on test slates by ranking; kept in a file until the run has other models."""

    def made() -> dict[str, Any]:
        found = judge(open_run(run), ground(), "test")
        user = found.ground.slates.user
        return {
            ranking: per_user(metrics["nmrr"], user)[1].tolist()
            for ranking, metrics in found.metrics.items()
            if ranking in ("global", "personal") and metrics is not None
        }

    return once(kept / f"{run.name}.json", {"model": sha256(run / NEURAL)}, made)
