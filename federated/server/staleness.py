"""How much less an update weighs that was computed from an old version (Xie 2019, section 5.2)."""

from typing import Literal

Weighting = Literal["constant", "polynomial", "hinge"]


def weight(weighting: Weighting, staleness: int, power: float, slope: float, late: int) -> float:
    """s(τ), 1 for a fresh update.

    Args:
        weighting: constant: 1; polynomial: (τ + 1)^−power; hinge: 1 until τ = late, then
            1 / (slope (τ − late) + 1).
        staleness: τ, versions passed between read and arrival.
        power: of the polynomial; 1/2 in FedBuff (Nguyen 2022).
        slope: of the hinge.
        late: the staleness at which the hinge begins.
    """
    if weighting == "polynomial":
        return float((staleness + 1) ** -power)
    if weighting == "hinge" and staleness > late:
        return 1 / (slope * (staleness - late) + 1)
    return 1.0
