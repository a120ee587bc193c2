"""What there is to choose from when users get models of their own."""

import math

import pytest

from federated.objectives import MAML, Ditto, MoreauEnvelope, Reptile
from federated.objectives.strength import PRICES, TALK, Strength


@pytest.mark.parametrize("kind", [Ditto, MoreauEnvelope])
def test_prices_that_steps_of_this_size_cannot_follow_are_no_candidates(
    kind: type[Ditto] | type[MoreauEnvelope],
) -> None:
    """A descent moves away from what it seeks where inner_lr · λ is 2 or more."""
    assert kind().strength == Strength("lam", TALK, (math.inf, *PRICES))
    assert kind(inner_lr=0.1).strength.candidates == (math.inf, 15.0, 7.0, 3.0, 1.5, 0.7)
    with pytest.raises(ValueError, match=r"inner_lr · lam = 0\.2 · 15 = 3 must be under 2"):
        kind(inner_lr=0.2)


def test_steps_are_multiples_of_those_that_maml_looks_ahead() -> None:
    assert MAML(maml_steps=3).strength == Strength("personal_steps", 3, (0, 3, 6, 15, 30, 60))
    assert MAML(maml_steps=5).strength.candidates == (0, 5, 10, 25, 50, 100), "no more than 100 steps"
    assert MAML(maml_steps=99).strength.candidates == (0, 99)
    assert MAML(maml_steps=0).strength.candidates == (), "there is nothing to multiply"
    assert Reptile().strength.candidates[0] == 0, "the first leaves users with what they had"


def test_a_value_that_is_set_leaves_no_choice() -> None:
    assert Ditto(lam=3).strength == Strength("lam", 3)
    assert MAML(personal_steps=7).strength == Strength("personal_steps", 7)
    assert Reptile(adapt_steps=4).strength == Strength("adapt_steps", 4)
    assert [Strength("lam", 3).taken(chosen) for chosen in (None, 0.0, 5.0)] == [3, 0, 5]
