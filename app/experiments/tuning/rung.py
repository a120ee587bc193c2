"""One rung of a search: whoever is still in the race is trained a part of the way, and judged."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from app.experiments.children import ChildError, Command
from app.experiments.tuning.race import Race
from app.experiments.workspace import rest
from app.runs.directory import CHECKPOINTS, SUMMARY, RunError, open_run
from app.runs.verdict import NOT_FINITE, OWN
from data.folders import TakenError, require_free
from data.progress import Tell
from data.schema import DataError
from federated import checkpoint

LOST_OR_WORTHLESS = (4, 6)
"""Exit codes of `train` that are no failure here: a candidate has diverged, or is no better than chance."""


class Runner(Protocol):
    """Trains; see `children.run_all`."""

    def __call__(
        self,
        commands: Sequence[Command],
        tell: Callable[[str], None],
        *,
        forgiven: Collection[int],
        look: Callable[[], None],
    ) -> dict[int, ChildError]:
        """Run every command."""
        ...


@dataclass(frozen=True)
class Rung:
    """One rung: all who are still in the race are trained up to the same part of a full training."""

    out: Path
    race: Race
    number: int
    running: Sequence[int]

    def result(self, tell: Callable[[str], None], progress: Tell, run: Runner) -> dict[str, Any]:
        """Train, and say how good each is, who is out of the race and why, and who goes on, best first."""
        lost = self._train(tell, progress, run)
        figures: dict[int, list[float]] = {}
        out: dict[str, str] = {}
        for candidate in self.running:
            judged = [self._judge(candidate, seed, lost.get((candidate, seed))) for seed in self.race.seeds]
            figures[candidate] = [figure for figure in judged if isinstance(figure, float)]
            why = [word for word in judged if isinstance(word, str)]
            if why:
                out[str(candidate)] = why[0]
                del figures[candidate]
        if not figures:
            raise FloatingPointError(f"no candidate is left. {out[str(self.running[0])]}")
        order = sorted(figures, key=lambda candidate: (-fmean(figures[candidate]), candidate))
        return {
            "updates": {str(c): self.race.target(c, self.number) for c in self.running},
            "validation_nmrr": {str(c): figures[c] for c in order},
            "out": out,
            "goes_on": self._going_on(order),
        }

    def _train(self, tell: Callable[[str], None], progress: Tell, run: Runner) -> dict[tuple[int, int], str]:
        """Train whom this rung still lacks; who has failed, candidate and seed, and its last words."""
        runs = [(candidate, seed) for candidate in self.running for seed in self.race.seeds]
        needed = {key: command for key in runs if (command := self._missing(*key))}
        name = f"rung {self.number + 1} of {len(self.race.plan.rungs)}"
        total = sum(self.race.target(c, self.number) - self.race.target(c, self.number - 1) for c, _ in runs)

        def look() -> None:
            progress(name, sum(self._done(*key) for key in runs), total)

        progress(name, 0, total)
        failed = run(list(needed.values()), tell, forgiven=LOST_OR_WORTHLESS, look=look)
        progress(name, total, total)
        return {list(needed)[number]: error.words for number, error in failed.items()}

    def _going_on(self, order: list[int]) -> list[int]:
        """The best challengers and the defaults; of the last rung all."""
        if self.number == self.race.plan.halvings:
            return order
        places = self.race.plan.places(len(self.race.candidates) - 1, self.number + 1)
        taken = [candidate for candidate in order if candidate][:places]
        return [candidate for candidate in order if candidate in (0, *taken)]

    def _missing(self, candidate: int, seed: int) -> list[str] | None:
        """The command that a run still needs; None: it is there."""
        place, settings = run_of(self.out, candidate, seed), self.race.settings(candidate, seed)
        until = [] if settings.fitted else [f"--until={self.race.target(candidate, self.number)}"]
        try:
            require_free(place)
        except TakenError:
            command = rest(place, self.race.data, settings)
            there = command is None or self._summary(candidate, seed) is not None
            return None if there or not command else [*command, f"--data={self.race.data}", *until]
        where = [f"--data={self.race.data}", f"--out={place}", f"--config={config_of(self.out, candidate)}"]
        return ["train", "--json", *where, f"--seed={seed}", *until]

    def _summary(self, candidate: int, seed: int) -> dict[str, Any] | None:
        """The summary of a run that is there where this rung ends; None: it is not there yet.

        Raises:
            RunError: it is already further, so that it cannot be judged beside the others.
        """
        place, target = run_of(self.out, candidate, seed), self.race.target(candidate, self.number)
        if not (place / SUMMARY).is_file():
            return None
        run = open_run(place)
        reached = run.summary["updates"]
        in_a_merge = max(self.race.users, getattr(run.settings.row.schedule, "buffer", 1))
        if target and reached >= target + in_a_merge:
            raise RunError(f"{place} has been trained further than this rung: remove it to train it anew.")
        return run.summary if reached >= target else None

    def _judge(self, candidate: int, seed: int, lost: str | None) -> float | str:
        """The NMRR of a run on validation slates, or why its candidate is out of the race."""
        summary = self._summary(candidate, seed)
        if summary is None:
            if lost is None:
                place = run_of(self.out, candidate, seed)
                raise RunError(f"{place} has ended before its time: remove it to train it anew.")
            return lost
        for warning in summary["warnings"]:
            if (warning["kind"], warning["ranking"]) == (NOT_FINITE, OWN):
                return str(warning["message"])
        if OWN not in summary["validation_nmrr"]:
            raise DataError(f"{self.race.data}: no user has validation slates, by which to choose.")
        return float(summary["validation_nmrr"][OWN])

    def _done(self, candidate: int, seed: int) -> int:
        """Client updates of a run in this rung so far, as far as they are saved."""
        place = run_of(self.out, candidate, seed)
        before, target = (self.race.target(candidate, number) for number in (self.number - 1, self.number))
        reached = checkpoint.latest(place / CHECKPOINTS)
        if reached is None:  # nothing is saved yet, or nothing but the model any more
            reached = target if (place / SUMMARY).is_file() else before
        return min(max(reached - before, 0), target - before)


def run_of(out: Path, candidate: int, seed: int) -> Path:
    """Where a run of a candidate lies."""
    return out / "runs" / f"candidate-{candidate}-seed-{seed}"


def config_of(out: Path, candidate: int) -> Path:
    """Where the settings of a candidate lie."""
    return out / "candidates" / f"{candidate}.toml"
