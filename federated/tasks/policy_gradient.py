"""Policy gradients: losses of sampled behaviour, whose derivatives estimate those of an expected return.

ĝ = mean over trajectories of Σ_h ∇ log π(a_h|s_h) (R_h − b(s_h)), R_h the discounted reward-to-go (Williams
1992, Sutton 2000): unbiased without discounting, and with little variance by it; as usual the factor γ^h, by
which late steps would hardly be learned, is left out. `surrogate` has this gradient, and its second
derivatives estimate the Hessian as well (DiCE, Foerster 2018; with baselines: Farquhar 2019).

Everywhere C clients take N trajectories of at most H steps each; ``alive`` (C, N, H) marks steps taken.
"""

import torch
from torch import Tensor

RIDGE = 1e-5


def rewards_to_go(rewards: Tensor, discount: float) -> Tensor:
    """R_h = Σ_{k ≥ h} γ^(k−h) r_k (…, H) of rewards (…, H)."""
    h = torch.arange(rewards.shape[-1])
    ahead = (h[:, None] - h).to(rewards.dtype)
    weight = torch.where(ahead >= 0, discount ** ahead.clamp(min=0), 0)
    return rewards @ weight


def linear_baseline(observations: Tensor, returns: Tensor, alive: Tensor) -> Tensor:
    """b (C, N, H): each client's least-squares fit of its returns in [o, o², t, t², t³, 1] (Duan 2016).

    Args:
        observations: o (C, N, H, O).
        returns: (C, N, H).
        alive: steps that count.
    """
    t = torch.arange(1, alive.shape[-1] + 1, dtype=observations.dtype) / 100
    times = torch.stack([t, t**2, t**3, torch.ones_like(t)], dim=-1).expand(*alive.shape, -1)
    features = torch.cat([observations, observations**2, times], dim=-1).flatten(1, 2)
    counted = (features * alive.flatten(1)[..., None]).mT
    normal = (counted @ features).double() + RIDGE * torch.eye(features.shape[-1], dtype=torch.float64)
    projected = (counted @ returns.flatten(1)[..., None]).double()
    weights = torch.linalg.solve(normal, projected).to(features.dtype)
    baseline: Tensor = (features @ weights).view_as(returns)
    return baseline


def normalised(advantages: Tensor, alive: Tensor) -> Tensor:
    """Advantages (C, N, H) of mean 0 and variance 1 over a client's steps, and 0 where none was taken."""
    count = alive.sum((1, 2), keepdim=True)
    mean = (advantages * alive).sum((1, 2), keepdim=True) / count
    centred = (advantages - mean) * alive
    deviation = (centred.square().sum((1, 2), keepdim=True) / count).sqrt()
    return centred / (deviation + 1e-8)


def surrogate(log_probability: Tensor, advantage: Tensor) -> Tensor:
    """0 (…), with the derivatives of the expected return, to all orders.

    Args:
        log_probability: log π(a_h|s_h) (…, H), differentiable.
        advantage: R_h − b(s_h) (…, H), not differentiated; 0 where no step was taken.
    """
    so_far = log_probability.cumsum(-1)
    before = so_far - log_probability
    return ((_one(so_far) - _one(before)) * advantage).sum(-1)


def _one(log_probability: Tensor) -> Tensor:
    """DiCE's magic box: 1, which differentiates like the probability over itself."""
    return (log_probability - log_probability.detach()).exp()


def leave_one_out(returns: Tensor) -> Tensor:
    """Each of M episodes' returns (…, M, H), less the mean of the others' (Kool 2019)."""
    others = returns.shape[-2] - 1
    return (returns - returns.mean(-2, keepdim=True)) * (1 + 1 / others)
