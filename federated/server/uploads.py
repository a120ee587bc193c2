"""What becomes of updates on their way into the model, beside the plain mean: all of it is optional."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from federated.compression import Compression
from federated.hostile import Attack
from federated.privacy.guarantee import Privacy
from federated.server.rules import Defence

FLOAT = 4
"""Bytes of a parameter that is sent as it is."""


class UploadError(Exception):
    """Privacy, a defence or an attack does not fit the schedule, or the number of users."""


@runtime_checkable
class WithServer(Protocol):
    """What schedules offer that have a server."""

    def size(self, users: int) -> int:
        """Updates in a merge, of so many users."""
        ...


@runtime_checkable
class WithLinks(Protocol):
    """What schedules offer whose users send to each other."""

    @property
    def silence(self) -> int:
        """Rounds within which every neighbour is heard, see `Faults.silence`."""
        ...


@dataclass(frozen=True)
class Uploads:
    """How updates are sent and merged.

    Attributes:
        privacy: what users are promised; None: nothing.
        attack: what hostile users send; None: nobody is hostile.
        defence: what the server does against them, or in gossip whoever hears a neighbour; None: nothing.
        compression: how updates are made small; None: not at all.
    """

    privacy: Privacy | None = None
    attack: Attack | None = None
    defence: Defence | None = None
    compression: Compression | None = None

    @property
    def plain(self) -> bool:
        """Whether updates are sent and averaged as they are."""
        return self == Uploads()

    def __post_init__(self) -> None:
        if self.privacy is not None and self.defence is not None:
            raise UploadError(
                "the noise of privacy is made for a sum of clipped updates, and a robust rule is no sum:"
                " leave out the defence (clipping already bounds what a hostile user can do), or privacy."
            )

    def require(self, schedule: object) -> None:
        """Raise UploadError unless a schedule can do so."""
        if self.plain:
            return
        if isinstance(schedule, WithLinks):
            self._require_for_links(schedule.silence)
            return
        if not isinstance(schedule, WithServer):
            asked = next(name for name, part in vars(self).items() if part is not None)
            raise UploadError(
                f"{asked} is what a server does, and {type(schedule).__name__.lower()} has none: "
                "choose the schedule cohort, arrivals or buffered."
            )
        if self.defence is not None and self.defence.in_buffers and hasattr(schedule, "cohort"):
            raise UploadError(
                "basgd is for updates that come one by one: choose the schedule arrivals, or another rule."
            )
        if self.privacy is not None and getattr(schedule, "merge", "delta") == "model":
            raise UploadError("privacy bounds updates, and merge = model mixes models: set merge = delta.")

    def _require_for_links(self, silence: int) -> None:
        """Raise UploadError unless nodes can do so by themselves, who hear each other within Γs rounds."""
        compression, defence = self.compression, self.defence
        if self.privacy is not None:
            raise UploadError(
                "privacy needs a server that adds up what users send before anybody sees it, and gossip has "
                "none: noise that hides each user alone would drown what is learned. Choose the schedule "
                "cohort, arrivals or buffered."
            )
        if defence is not None and (defence.rule != "clip" or defence.clip is None):
            raise UploadError(
                "rules choose among updates that a server sees side by side, and in gossip neighbours are "
                "heard one by one, with what must not be lost: set rule = clip, with clip=NORM, how far a "
                "neighbour's model can be from one's own."
            )
        if compression is not None and compression.top_k < 1:
            raise UploadError(
                "top_k leaves entries out, and in gossip each next message would have to hold them, since "
                "nobody knows which ones were lost: set bits to 8 or 4."
            )
        if compression is not None and not compression.error_feedback:
            raise UploadError("gossip averages only what it does not lose: leave error_feedback on.")
        if compression is not None and silence > 2 ** (compression.bits - 1) - 2:
            more = "set bits = 8, or " if compression.bits < 8 else ""
            raise UploadError(
                f"a message may have to tell what is new of {silence - 1} rounds, for which "
                f"{compression.bits} bits are too few: {more}lower wake_within, max_delay or max_failures."
            )

    def planned(self, updates: int, users: int, size: int) -> "Uploads":
        """With what depends on the training: so many updates of so many users, ``size`` in a merge.

        Raises:
            UploadError: that does not go together.
        """
        try:
            if self.defence is not None:
                self.defence.require(users if self.defence.in_buffers else size)
                if "clip" in self.defence.rule and self.defence.clip is None and size < 3:
                    raise ValueError(
                        f"clip takes the median norm of a merge, and a merge has {size}: set clip=NORM, or "
                        "merge 3 or more"
                    )
            if size > users and (self.privacy or (self.defence and not self.defence.in_buffers)):
                raise ValueError(
                    f"a merge takes {size} updates of different users, and there are {users}: set buffer to "
                    f"{users} at most"
                )
            if self.privacy is None:
                return self
            planned = self.privacy.planned(updates, users, size)
            noise = planned.multiplier(size)
            if size == 1 and planned.noise == "independent":
                raise ValueError(
                    f"each merge would hold one update, of 1 clip at most, and get noise of {noise:.3g} "
                    "clips in every parameter: merge 20 or more (by buffer or cohort), or set noise = banded"
                )
            return replace(self, privacy=planned)
        except ValueError as error:
            raise UploadError(f"{error}.") from error

    def size(self, parameters: int) -> int:
        """Bytes that a user sends of an update of P parameters."""
        return self.compression.size(parameters) if self.compression else FLOAT * parameters
