"""An audit: whoever sees all that is published tells two neighbouring datasets apart as well as ε allows.

The adversary knows all users but one, and asks whether that one took part. Each of many runs is one number
in a long vector. A lower bound of ε follows from how often a threshold on the likelihood ratio is right
(Jagielski 2020, Nasr 2021), by Clopper-Pearson intervals at 99.9 % together.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import beta

from federated.privacy.accounting import noise_multiplier_of
from federated.privacy.noise import Banded, Independent, Keyed, Mechanism, Tree
from tests.federated.privacy.test_noise import allowed, decoder

Matrix = NDArray[np.float64]
EPSILON, DELTA, CLIP, RUNS, UNSURE = 1.0, 0.01, 0.5, 200_000, 1e-3
OTHERS = (0.2, -3.0, 0.7)
"""Updates of the users that both datasets have, before they are clipped."""


@dataclass(frozen=True)
class Audit:
    """What is trained, and what may go wrong without the accounting noticing.

    Attributes:
        merges: T.
        taken: the merges in which the user takes part.
        update: the user's, before it is clipped.
        clip: the norm to which updates really are clipped.
        noise: the noise that is really added, divided by what the accounting asks for.
    """

    mechanism: Mechanism
    merges: int
    taken: tuple[int, ...]
    update: float = 40.0
    clip: float = CLIP
    noise: float = 1.0

    def bound(self, participations: int) -> float:
        """The lower bound of ε, where the accounting allows the user so many participations."""
        squared = self.mechanism.squared_sensitivity(participations)
        sigma = noise_multiplier_of(EPSILON, DELTA, squared) * self.noise
        without, present = (self._scores(sigma, present) for present in (False, True))
        half = RUNS // 2
        thresholds = np.quantile(present[:half], np.linspace(0.02, 0.98, 49))
        best = max(thresholds, key=lambda t: lower(without[:half] > t, present[:half] > t))
        return lower(without[half:] > best, present[half:] > best)

    def _scores(self, sigma: float, present: bool) -> Matrix:
        """(RUNS,) logarithms of the likelihood ratio, up to a line, of as many runs."""
        encoder = np.linalg.inv(decoder(self.mechanism, self.merges))
        seen = encoder @ (self._published(sigma, present) - np.clip(OTHERS, -self.clip, self.clip).sum())
        return np.asarray(encoder[:, list(self.taken)].sum(1) @ seen)

    def _published(self, sigma: float, present: bool) -> Matrix:
        """(T, RUNS) noisy sums."""
        source, state, sums = Keyed(int(present)), {}, []
        for merge in range(self.merges):
            noise, state = self.mechanism.next(state, merge, RUNS, source)
            updates = (*OTHERS, self.update) if present and merge in self.taken else OTHERS
            sums.append(np.clip(updates, -self.clip, self.clip).sum() + sigma * CLIP * noise)
        return torch.stack(sums).numpy()


def lower(false: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """ε ≥ ln((P(true) − δ) / P(false)), with each probability at the wrong end of its interval."""
    hits, alarms, runs = int(true.sum()), int(false.sum()), len(true)
    hit = beta.ppf(UNSURE / 2, hits, runs - hits + 1) if hits else 0.0
    alarm = beta.ppf(1 - UNSURE / 2, alarms + 1, runs - alarms) if alarms < runs else 1.0
    return math.log((hit - DELTA) / alarm) if hit > DELTA else 0.0


AUDITS = {
    "independent": Audit(Independent(), 5, (0, 2, 3)),
    "tree": Audit(Tree(4), 8, (0, 4)),
    "a tree that is no power of two": Audit(Tree(6), 6, (0,)),
    "banded": Audit(Banded(3), 8, (0, 3, 6)),
}


@pytest.mark.parametrize("audit", AUDITS.values(), ids=AUDITS)
def test_nobody_is_seen_better_than_epsilon_allows_but_nearly_as_well(audit: Audit) -> None:
    assert allowed(audit.mechanism, audit.taken)
    assert 0.8 * EPSILON < audit.bound(len(audit.taken)) <= EPSILON


@pytest.mark.parametrize("audit", AUDITS.values(), ids=AUDITS)
def test_the_audit_sees_half_the_noise_and_twice_the_norm(audit: Audit) -> None:
    assert replace(audit, noise=0.5).bound(len(audit.taken)) > EPSILON
    assert replace(audit, clip=2 * CLIP).bound(len(audit.taken)) > EPSILON


@pytest.mark.parametrize(
    ("mechanism", "taken", "counted"),
    [(Independent(), (0, 1, 2, 3, 4, 5), 3), (Tree(4), (0, 1), 1), (Banded(4), (0, 1, 2), 3)],
    ids=str,
)
def test_the_audit_sees_a_server_that_does_not_enforce(
    mechanism: Mechanism, taken: tuple[int, ...], counted: int
) -> None:
    assert Audit(mechanism, 8, taken).bound(counted) > EPSILON
