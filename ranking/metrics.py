"""How good a ranking is: position-weighted accuracy@k, NMRR, MRR@k, Success@k, exactly.

Let p_1, p_2, … be the pool in ranked order, r_1 … r_m the reference, K = min(k, m) and
H_n = 1 + 1/2 + … + 1/n:

==================  ===================================================================
accuracy@k          Σ_{j ≤ K} (1/j)·[p_j ∈ {r_1 … r_K}] / H_K, the talk's weighted accuracy
plain_accuracy@k    |{p_1 … p_K} ∩ {r_1 … r_K}| / K
nmrr                Σ_{r in the reference} 1/rank(r) / H_m, without a cut-off
mrr@k               1/rank(r_1), and 0 beyond k
success@k           1 if rank(r_1) ≤ k, else 0
==================  ===================================================================

Ties never help. Each metric is a sum of position weights over relevant candidates, so its expectation
over all orders of tied candidates is exact: a candidate gets the mean weight of the positions that
its tie group occupies. A constant scorer scores chance to the last digit.

A slate with no reference in its pool is a *miss* and scores 0 everywhere: its user was shown nothing
they wanted. `missed` counts them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.randomness import generator
from ranking.slates import Slates

METRICS = ("accuracy@10", "plain_accuracy@10", "nmrr", "mrr@10", "success@1", "success@10")
CUTOFF = 10


def with_cutoff(name: str, k: int) -> str:
    """The name in METRICS, e.g. ``mrr@10``, of the same metric at another cut-off: ``mrr@5``."""
    return name.replace(f"@{CUTOFF}", f"@{k}")


def slate_metrics(scores: Tensor, slates: Slates, k: int = CUTOFF) -> dict[str, Tensor]:
    """Every metric of every slate, for S slates of N candidates.

    Args:
        scores: (S, N) any real numbers; finite; higher ranks earlier. Padding is ignored.
        slates: the S slates.
        k: cut-off; the keys carry it, e.g. ``mrr@10`` (``success@1`` keeps its own).

    Returns:
        Metric name to (S,) float64 in [0, 1].

    Raises:
        ValueError: a score of a candidate is not a finite number.
    """
    if not torch.isfinite(scores).masked_select(slates.mask).all():
        raise ValueError("a score is NaN or infinite: a ranking of it would be an accident.")
    first, last = _places(scores, slates.mask)
    size = slates.mask.shape[1]
    place = torch.arange(1, size + 1, dtype=torch.float64)
    wanted = slates.wanted.long()
    cut = wanted.clamp(max=k)
    member = slates.position > 0
    head = member & (slates.position <= cut[:, None])
    chosen = slates.position == 1

    def total(weights: Tensor, relevant: Tensor) -> Tensor:
        """Expected sum of position weights (N,) or (S, N) over the relevant candidates."""
        summed = torch.nn.functional.pad(weights.cumsum(-1), (1, 0)).expand(len(scores), -1)
        mean = (summed.gather(1, last) - summed.gather(1, first)) / (last - first).clamp(min=1)
        return (mean * relevant).sum(1)

    within_cut = place <= cut[:, None]
    harmonic = torch.cat(
        [place.new_zeros(1), (1 / torch.arange(1, 1 + int(wanted.max()), dtype=torch.float64)).cumsum(0)]
    )
    return {
        f"accuracy@{k}": total(within_cut / place, head) / harmonic[cut],
        f"plain_accuracy@{k}": total(within_cut.double(), head) / cut,
        "nmrr": total(1 / place, member) / harmonic[wanted],
        f"mrr@{k}": total((place <= k) / place, chosen),
        "success@1": total((place <= 1).double(), chosen),
        f"success@{k}": total((place <= k).double(), chosen),
    }


def nmrr(scores: Tensor, slates: Slates) -> Tensor:
    """(S,) the NMRR alone of S slates, as `slate_metrics` has it, without sorting anybody's candidates.

    Args:
        scores: (S, N), finite.
        slates: the S slates.
    """
    ranked = scores.double().masked_fill(~slates.mask, -torch.inf)
    slate, candidate = (slates.position > 0).nonzero(as_tuple=True)
    of_wanted, among = ranked[slate, candidate][:, None], ranked[slate]
    first, ties = (among > of_wanted).sum(1), (among == of_wanted).sum(1)
    place = torch.arange(1, slates.mask.shape[1] + 1, dtype=torch.float64)
    summed = torch.nn.functional.pad((1 / place).cumsum(-1), (1, 0))
    mean = (summed[first + ties] - summed[first]) / ties
    found = torch.zeros(len(slates), dtype=torch.float64).index_add_(0, slate, mean)
    wanted = slates.wanted.long()
    harmonic = (1 / torch.arange(1, 1 + int(wanted.max()), dtype=torch.float64)).cumsum(0)
    return found / harmonic[wanted - 1]


def _places(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(S, N) each: a candidate's tie group occupies the places first+1 … last."""
    ranked = scores.double().masked_fill(~mask, -torch.inf)
    ordered = (-ranked).sort(dim=1).values.contiguous()
    first = torch.searchsorted(ordered, -ranked)
    last = torch.searchsorted(ordered, -ranked, right=True)
    return first, last


def missed(slates: Slates) -> Tensor:
    """(S,) bool: no reference is in the pool, so no ranking can serve this moment."""
    return ~(slates.position > 0).any(-1)


def per_user(values: Tensor, user: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Users (U,) that have slates, and the mean (U,) of ``values`` (S,) over each one's slates."""
    users, of = torch.unique(user, return_inverse=True)
    sums = torch.zeros(len(users), dtype=torch.float64).index_add_(0, of, values.double())
    return users.numpy(), (sums / torch.bincount(of)).numpy()


def summarise(metrics: dict[str, Tensor], user: Tensor, over: str = "users") -> dict[str, float]:
    """Each metric averaged over a user's slates, then over users; and the 10th-percentile user's NMRR.

    With ``over="slates"`` every slate weighs the same, as some published protocols have it.
    """
    summary = {
        name: float((values if over == "slates" else torch.from_numpy(per_user(values, user)[1])).mean())
        for name, values in metrics.items()
    }
    if "nmrr" in metrics:
        summary["p10_user_nmrr"] = float(np.percentile(per_user(metrics["nmrr"], user)[1], 10))
    return summary


def paired_bootstrap(
    differences: Sequence[float] | NDArray[np.float64],
    seed: int = 0,
    resamples: int = 10_000,
    weights: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Mean of per-user differences (U,) with its 95 % percentile bootstrap interval over users.

    Args:
        differences: of each user.
        seed: of the bootstrap.
        resamples: how many.
        weights: (U,) how much each user counts; with their numbers of slates it is the mean over slates,
            whose interval still is one over users, since a user's slates are not independent.

    Returns:
        ``mean``, ``low`` and ``high``; one user has no interval, so that these two are None.
    """
    values = np.asarray(differences, dtype=float)
    mean = float(np.average(values, weights=weights))
    if len(values) == 1:
        return {"mean": mean, "low": None, "high": None}
    draw = generator(seed, "bootstrap").integers(len(values), size=(resamples, len(values)))
    if weights is None:
        means = values[draw].mean(1)
    else:
        means = (values * weights)[draw].sum(1) / weights[draw].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": mean, "low": float(low), "high": float(high)}
