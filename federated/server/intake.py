"""What happens to updates between their arrival and the server's step, and what is remembered for it.

A user makes the update small and clips it; it waits in the buffer; hostile users exchange theirs, knowing all
that wait; and the buffer becomes one update, by the mean, a robust rule, or a sum with noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from federated.server.admission import CONTENT, refusals
from federated.server.rules import Defence
from federated.server.uploads import Uploads

DOUBLE = "second of a user in a merge"
SPENT = "all participations spent"
TOO_FEW = "too few beside it for the rule"
TOO_SOON = "too soon after the user's last"

ROUNDING = 1e-6
"""So much shorter than C is what is clipped: the rounding of its entries makes it no longer than C."""

NUMBERS = ("merges", "below", "size")
PLAN = ("participations", "leaves", "band")
"""What of a promise depends on how many users there were when it was made."""

TENSORS = "intake."


class Together(NamedTuple):
    """What a buffer has become.

    Attributes:
        update: (P,) what the server steps along; None where all have been refused.
        kept: places in the buffer of the updates that are in it.
        refused: why others are not, see `admission`.
    """

    update: Tensor | None
    kept: tuple[int, ...]
    refused: tuple[str, ...]


@dataclass
class Intake:
    """The state of a server that does more than to average.

    Attributes:
        uploads: what it does.
        seed: of the run.
        hostile: (U,) bool, who is.
        size: K, updates in a merge.
        clip: C, the bound of today; None without privacy.
        merges: how many there were.
        sent: user → messages until now.
        taken: user → how often merged, or waiting to be.
        last: user → in which merge the last time.
        residual: user → (P,) what compression has held back.
        pending: updates (P,) that wait for the merge.
        waiting: whose they are.
        noise: what correlated noise has to remember.
        before: (P,) what the last buffer became, for rules that begin there.
        below: how many of those that wait were shorter than C.
    """

    uploads: Uploads
    seed: int
    hostile: Tensor
    size: int
    clip: float | None
    merges: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    residual: dict[int, Tensor] = field(default_factory=dict)
    pending: list[Tensor] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    noise: dict[str, Tensor] = field(default_factory=dict)
    before: Tensor | None = None
    below: int = 0

    @classmethod
    def start(cls, uploads: Uploads, seed: int, users: int, size: int) -> "Intake | None":
        """Before the first update; None where updates are just averaged.

        Args:
            uploads: planned.
            seed: of the run.
            users: U.
            size: K, updates in a merge.
        """
        if uploads.plain:
            return None
        attack, privacy = uploads.attack, uploads.privacy
        hostile = attack.hostile_users(users, seed) if attack else torch.zeros(users, dtype=torch.bool)
        return cls(uploads, seed, hostile, size, privacy.clip if privacy else None)

    def admit(self, user: int, delta: Tensor, why: str | None, w: Tensor) -> tuple[Tensor, str | None]:
        """What a user sends (P,) of an update, and why it is not to be merged, None if it may be.

        Args:
            user: whose.
            delta: the update.
            why: a reason that has been found before, see `admission`.
            w: (P,) a model. Privacy must not show that an update was unusable: it counts as zeros like this.
        """
        unusable = self.uploads.privacy is not None and why in CONTENT
        why = self._refusal(user) if why is None or unusable else why
        if why is not None:
            return delta, why
        self.waiting.add(user)
        return self._received(user, torch.zeros_like(w) if unusable else delta), None

    def open_from(self, user: int) -> float:
        """See `Gate.open_from`: what a user would send until then need not be computed."""
        privacy, defence = self.uploads.privacy, self.uploads.defence
        once = privacy is not None or (defence is not None and not defence.in_buffers)
        opens = self.merges + (once and user in self.waiting)
        if privacy is None:
            return opens
        assert privacy.participations is not None, "planned"
        if self.taken.get(user, 0) >= privacy.participations:
            return math.inf
        last = self.last.get(user)
        return opens if last is None else max(opens, privacy.mechanism.free_from(last))

    def _refusal(self, user: int) -> str | None:
        """Why the update of a user must not be merged beside those of others who wait; None if it may."""
        opens = self.open_from(user)
        if opens <= self.merges:
            return None
        if opens == math.inf:
            return SPENT
        return DOUBLE if user in self.waiting else TOO_SOON

    def _received(self, user: int, delta: Tensor) -> Tensor:
        """What a user sends (P,) of an update (P,): made small, and clipped. It counts from here on."""
        if (compression := self.uploads.compression) is not None:
            whole = delta + self.residual[user] if user in self.residual else delta
            number = self.sent[user] = self.sent.get(user, 0) + 1
            delta = compression.sent(whole[None], self.seed, [user], [number])[0]
            if compression.error_feedback:
                self.residual[user] = whole - delta
        if self.uploads.privacy is not None:
            assert self.clip is not None, "there is a bound"
            self.taken[user] = self.taken.get(user, 0) + 1
            self.last[user] = self.merges
            self.below += int(_norms(delta[None])[0] <= self.clip)
            delta = clipped(delta[None], self.clip)[0]
        return delta

    def full(self, users: Sequence[int], size: int) -> bool:
        """Whether those of whom updates wait are enough for a merge that usually takes ``size``."""
        defence = self.uploads.defence
        return len(users) >= size if defence is None else defence.full(users, size)

    def merge(
        self, users: Sequence[int], share: Tensor | None, max_norm: float | None, lost: int = 0
    ) -> Together:
        """Empty the buffer into one update.

        Args:
            users: whose updates wait, in their order.
            share: (K,) weights of the mean, with sum 1; None: equal ones. Only a plain mean has weights.
            max_norm: see `refusals`; hostile updates are held against it.
            lost: further updates that came for this merge, and were refused for what they hold.
        """
        updates, self.pending = torch.stack(self.pending), []
        self.waiting.clear()
        if self.uploads.attack is not None:
            hostile = self.hostile[torch.tensor(users)]
            updates = self.uploads.attack.sent(updates, hostile, self.seed, self.merges)
        if self.uploads.privacy is not None:
            found = Together(self._private(updates), tuple(range(len(users))), ())
        else:
            found = self._admitted(updates, users, share, max_norm, lost)
        self.merges += 1
        return found

    def _admitted(
        self, updates: Tensor, users: Sequence[int], share: Tensor | None, max_norm: float | None, lost: int
    ) -> Together:
        whys = refusals(updates, updates[0], max_norm) if self.uploads.attack else [None] * len(updates)
        kept = tuple(place for place, why in enumerate(whys) if why is None)
        refused = tuple(why for why in whys if why is not None)
        if (defence := self.uploads.defence) is not None:
            return self._resisted(defence, updates, users, kept, refused, lost)
        if not kept:
            return Together(None, kept, refused)
        if refused:
            updates = updates[list(kept)]
            share = None if share is None else share[list(kept)] / share[list(kept)].sum()
        return Together(updates.mean(0) if share is None else share @ updates, kept, refused)

    def _resisted(
        self,
        defence: Defence,
        updates: Tensor,
        users: Sequence[int],
        kept: tuple[int, ...],
        refused: tuple[str, ...],
        lost: int,
    ) -> Together:
        """The same by a rule. Who is refused for what they sent need not be resisted any more."""
        if defence.in_buffers:  # zeros are as good as any lie: what is refused empties no buffer
            usable = torch.zeros(len(users), dtype=torch.bool)
            usable[list(kept)] = True
            updates = torch.where(usable[:, None], updates, 0)
            return Together(defence(updates, None, torch.tensor(users)), kept, refused)
        lost += len(refused)
        rule = defence.without(lost, len(kept) + lost)
        try:
            rule.require(len(kept))
        except ValueError:
            return Together(None, (), (*refused, *[TOO_FEW] * len(kept)))
        self.before = rule(updates[list(kept)], self.before)
        return Together(self.before, kept, refused)

    def _private(self, updates: Tensor) -> Tensor:
        """(Σ updates + σ C z)/K (P,), and C for the next merge."""
        privacy, clip = self.uploads.privacy, self.clip
        assert privacy is not None, "there is a promise"
        assert clip is not None, "and a bound"
        total = clipped(updates, clip).double().sum(0)  # hostile users do not clip
        source = privacy.source(self.seed)
        drawn, self.noise = privacy.mechanism.next(self.noise, self.merges, len(total), source)
        total += privacy.multiplier(self.size) * clip * drawn
        if privacy.quantile is not None:
            self.clip = clip * math.exp(
                -privacy.clip_lr * (self._part_below(len(updates)) - privacy.quantile)
            )
        self.below = 0
        return (total / self.size).to(updates.dtype)

    def _part_below(self, updates: int) -> float:
        """The part of updates shorter than C, as far as noise lets it be seen (Andrew 2021, alg. 1)."""
        privacy = self.uploads.privacy
        assert privacy is not None, "there is a promise"
        noise = float(privacy.source(self.seed).normal(1, self.merges, 1)[0])
        total = self.below - updates / 2 + privacy.bit_multiplier(self.size) * noise
        return min(1.0, max(0.0, total / self.size + 0.5))

    def told(self) -> dict[str, Any]:
        """What a summary tells of privacy, by `Privacy.told`, attack and defence; only of what there is."""
        uploads, found = self.uploads, dict[str, Any]()
        if uploads.privacy is not None:
            most = max(self.taken.values(), default=0)
            found["privacy"] = uploads.privacy.told(self.size, most) | {
                "merges": self.merges,
                "last_clip": self.clip,
            }
        if uploads.attack is not None:
            found["attack"] = uploads.attack.told(len(self.hostile), self.seed)
        if uploads.defence is not None:
            users = len(self.hostile) if uploads.defence.in_buffers else self.size
            survived = uploads.defence.survives(users)
            found["defence"] = {"rule": uploads.defence.rule, "survives": survived, "updates": self.size}
        return found

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As tensors and JSON values of a `Snapshot`."""
        tensors = {f"{TENSORS}noise.{name}": value for name, value in self.noise.items()}
        tensors |= {f"{TENSORS}residual.{user}": value for user, value in self.residual.items()}
        tensors |= {f"{TENSORS}pending.{place}": value for place, value in enumerate(self.pending)}
        if self.before is not None:
            tensors[f"{TENSORS}before"] = self.before
        plain: dict[str, Any] = {name: getattr(self, name) for name in NUMBERS} | {"clip": self.clip}
        plain["waiting"] = sorted(self.waiting)
        if self.uploads.privacy is not None:
            plain["plan"] = {name: getattr(self.uploads.privacy, name) for name in PLAN}
        for name in ("sent", "taken", "last"):
            plain[name] = list(getattr(self, name).items())
        return {name: value.contiguous() for name, value in tensors.items()}, plain

    def unpack(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Go on from what `pack` packed, among other tensors, with the promise that was made at the start."""
        if self.uploads.privacy is not None:
            privacy = replace(self.uploads.privacy, **plain["plan"])
            self.uploads = replace(self.uploads, privacy=privacy)
        for name in (*NUMBERS, "clip"):
            setattr(self, name, plain[name])
        self.waiting = set(plain["waiting"])
        for name in ("sent", "taken", "last"):
            setattr(self, name, dict(plain[name]))
        own = {name[len(TENSORS) :]: value for name, value in tensors.items() if name.startswith(TENSORS)}
        self.before = own.get("before")
        self.noise = {name[6:]: value for name, value in own.items() if name.startswith("noise.")}
        self.residual = {int(name[9:]): value for name, value in own.items() if name.startswith("residual.")}
        pending = {int(name[8:]): value for name, value in own.items() if name.startswith("pending.")}
        self.pending = [pending[place] for place in range(len(pending))]


def clipped(updates: Tensor, norm: float) -> Tensor:
    """Updates (C, P), those longer than a norm shortened to it; ones that are not finite become zeros."""
    lengths = _norms(updates)
    longer = lengths > norm
    scale = torch.where(longer, norm * (1 - ROUNDING) / lengths, 1.0)
    usable = lengths.isfinite()
    found = torch.where(longer[:, None], updates * scale[:, None].to(updates.dtype), updates)
    return torch.where(usable[:, None], found, 0)


def _norms(updates: Tensor) -> Tensor:
    """(C,) float64."""
    norms: Tensor = torch.linalg.vector_norm(updates.double(), dim=1)
    return norms
