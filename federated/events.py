"""What a training tells of itself, as one stream that progress bars, metrics files and apps consume."""

from dataclasses import dataclass

from torch import Tensor

from federated.keeping import Best
from federated.personal import Choice


@dataclass(frozen=True)
class Merged:
    """One merge: ``updates`` client updates have arrived by now; the rest as in `schedules.Merge`.

    Attributes:
        bytes_up, bytes_down: of all updates that users have sent to a server until now, and of all models
            that it has sent to them; None without a simulated server.
    """

    updates: int
    version: int
    users: tuple[int, ...]
    staleness: tuple[int, ...]
    refused: tuple[str, ...]
    in_flight: int
    time: float
    network: dict[str, float] | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None


@dataclass(frozen=True)
class Evaluated:
    """Validation figures after ``updates``: of the common model, or without one of the users' own."""

    updates: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Finished:
    """The end: what was learned, and how long it took.

    Attributes:
        learned: what the schedule ends with, or the best on the way: (P,) a model for everyone, or (U, P)
            one for each user where there is no server or everyone trained alone.
        adapted: (U, P) what the objective makes of it for each user; None where it makes nothing, and where
            some of that is not finite.
        seconds: wall time of training, without evaluations and personalisation.
        diverged: how many of the users' adapted models are not finite.
        best: where on the way the learned model stood, if it was chosen by validation; None: it is the last.
        choice: how far users' own models go; ``adapted`` is None also where nobody is better off with one.
    """

    updates: int
    learned: Tensor
    adapted: Tensor | None
    seconds: float
    diverged: int = 0
    best: Best | None = None
    choice: Choice | None = None

    @property
    def common(self) -> Tensor | None:
        """(P,) the model for everyone, None where there is none."""
        return self.learned if self.learned.dim() == 1 else None

    @property
    def personal(self) -> Tensor | None:
        """(U, P) the users' own models, None where they have no others than the common one."""
        return self.learned if self.adapted is None and self.common is None else self.adapted


Event = Merged | Evaluated | Finished
