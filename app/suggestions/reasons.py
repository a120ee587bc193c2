"""Why a suggestion stands where it stands: its features, and what each family of them contributes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.suggestions.attribution import shapley
from app.suggestions.visit import Standing
from app.suggestions.words import Context, sentences
from ranking.features import feature_names, scale
from ranking.models import Model
from ranking.rankers.network import Network
from ranking.slates import Rows, Slates
from ranking.units import Quantity

LETTERS = "its letters"
"""The family of whatever a network reads beside features."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "how often others search it": ("popularity", "group popularity", "share of popularity"),
    "its length": ("length", "typed share"),
    "how often you search it": ("own count", "own count of ", "share of own count"),
    "how lately you searched it": ("own recency",),
    "your searches with its first word": ("own first word",),
    "whether you searched it last": ("equals previous",),
    "what others search next": ("follows previous", "share of follows"),
    "what you search next": ("own follows previous", "share of own follows"),
    "what others search later": (
        "follows the one before",
        "follows first word",
        "first word follows first word",
    ),
    "what you search later": (
        "own follows the one before",
        "own follows first word",
        "own first word follows first word",
    ),
    "its topic": ("own topic share", "session topic", "topic "),
}
"""Features that say alike things are explained together: by family their names, or how these begin."""

METHOD = (
    "Exact Shapley values: how much the score changes as each group of features goes from its median among "
    "the {size} candidates to this candidate's values, on average over all orders of the {groups} groups. "
    "The contributions add up to the difference between this candidate's score and that of the median one."
)


class NotSuggestedError(ValueError):
    """What is to be explained is not among the candidates; the message is a sentence."""


@dataclass(frozen=True)
class Value:
    """A feature of the candidate, as rankers see it and in a unit that people know, beside the median.

    Attributes:
        name: of the feature.
        value: as rankers see it.
        median: of the candidates.
        meaning: the value as a quantity.
        usual: the median as a quantity.
    """

    name: str
    value: float
    median: float
    meaning: Quantity
    usual: Quantity

    def plain(self) -> dict[str, Any]:
        """The same for JSON, which knows no ∞."""
        number, usual = (q.number if math.isfinite(q.number) else None for q in (self.meaning, self.usual))
        return {
            "name": self.name,
            "value": self.value,
            "median": self.median,
            "number": number,
            "median_number": usual,
            "unit": self.meaning.unit,
        }


@dataclass(frozen=True)
class Part:
    """A family of features.

    Attributes:
        name: of the family.
        values: of its features; none where a network reads something that has no names.
        personal: what it contributes to the score by the user's own model.
        everyone: the same by the common model; None where there is none.
    """

    name: str
    values: tuple[Value, ...]
    personal: float
    everyone: float | None


@dataclass(frozen=True)
class Reasons:
    """Why one suggestion has its score. Texts of queries in it are as somebody typed them.

    Attributes:
        text: of the suggestion.
        prefix: what was typed.
        parts: the most important ones for this user first.
        scores: of the suggestion by "personal" and, where there is a common model, "everyone".
        medians: the same of a candidate with the median of every feature.
        sentences: what matters most, in words; none where nothing tells the candidates apart.
        method: which attribution this is, and what it compares with.
    """

    text: str
    prefix: str
    parts: tuple[Part, ...]
    scores: dict[str, float]
    medians: dict[str, float]
    sentences: tuple[str, ...]
    method: str

    def plain(self) -> dict[str, Any]:
        """The same for JSON; a search that was never done has no number of searches since."""
        return {
            "scores": self.scores,
            "medians": self.medians,
            "sentences": list(self.sentences),
            "method": self.method,
            "parts": [
                {
                    "name": part.name,
                    "personal": part.personal,
                    "everyone": part.everyone,
                    "features": [value.plain() for value in part.values],
                }
                for part in self.parts
            ],
        }


@dataclass(frozen=True)
class Judge:
    """What scores candidates for somebody.

    Attributes:
        inputs: (N, I) of the candidates: their F features, then whatever else the ranker reads.
        scores: (R,) of rows of such inputs (R, I).
    """

    inputs: NDArray[np.float64]
    scores: Callable[[NDArray[np.float32]], NDArray[np.float64]]

    @classmethod
    def of_network(cls, network: Network, w: torch.Tensor, slates: Slates) -> "Judge":
        """Weights (P,) of a network, for the candidates of one slate."""
        with torch.no_grad():
            inputs = network.inputs(w[None], Rows.of(slates[torch.zeros(1, 1, dtype=torch.int64)]))[0]

        def scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
            with torch.no_grad():
                return network.head(w[None], torch.from_numpy(rows)[None])[0].double().numpy()

        return cls(inputs.double().numpy(), scores)

    @classmethod
    def of_trees(cls, model: Model, slates: Slates, personal: bool) -> "Judge":
        """Fitted trees, for the candidates of one slate."""

        def scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
            nothing = torch.zeros(len(rows), dtype=torch.int32)  # trees read no texts
            made = Slates.asked(torch.from_numpy(rows), nothing, slates.user, slates.typed)
            found = model.personal_scores(made) if personal else model.global_scores(made)
            assert found is not None, "asked only where there is a common model"
            return found[0].double().numpy()

        return cls(slates.features[0].double().numpy(), scores)


def reasons(
    standing: Standing, slates: Slates, at: int, prefix: str, personal: Judge, everyone: Judge | None
) -> Reasons:
    """The reasons for one candidate.

    Args:
        standing: where the visit has left its user.
        slates: one slate.
        at: which of its N candidates.
        prefix: what was typed.
        personal: scores for the user.
        everyone: scores for everybody alike; None where nothing does.
    """
    names = feature_names(standing.others)
    families = [*FAMILIES, LETTERS]
    group = np.array([families.index(_family(name)) for name in names])
    judges = {"personal": personal} | ({} if everyone is None else {"everyone": everyone})
    shares, scores, medians = {}, {}, {}
    for name, judge in judges.items():
        beside = np.full(judge.inputs.shape[1] - len(names), len(FAMILIES))
        row, base = judge.inputs[at], np.median(judge.inputs, axis=0)
        shares[name] = shapley(judge.scores, row, base, np.append(group, beside))
        scores[name], medians[name] = judge.scores(np.stack([row, base]).astype(np.float32)).tolist()
    values = _values(names, slates.features[0].double().numpy(), at)
    parts = []
    for number in range(len(shares["personal"])):
        theirs = tuple(value for value, which in zip(values, group, strict=True) if which == number)
        if theirs or number == len(FAMILIES):
            own, common = (
                float(shares[n][number]) if n in shares else None for n in ("personal", "everyone")
            )
            assert own is not None, "there always is a personal score"
            parts.append(Part(families[number], theirs, own, common))
    parts.sort(key=lambda part: -abs(part.personal))
    text = standing.others.texts[int(slates.candidates[0, at])]
    told = [(part.name, part.personal) for part in parts]
    words = sentences(told, {value.name: value for value in values}, Context.of(standing, text))
    method = METHOD.format(size=slates.widest, groups=len(parts))
    return Reasons(text, prefix, tuple(parts), scores, medians, words, method)


def _values(names: list[str], features: NDArray[np.float64], at: int) -> list[Value]:
    return [
        Value(name, own, median, scale(name).quantity(own), scale(name).quantity(median))
        for name, own, median in zip(
            names, features[at].tolist(), np.median(features, axis=0).tolist(), strict=True
        )
    ]


def _family(name: str) -> str:
    """The family of a feature: that with its name, or else the one with the longest beginning of it."""
    beginnings: Iterator[tuple[str, str]] = (
        (part, family) for family, parts in FAMILIES.items() for part in parts
    )
    found = [(len(part), family) for part, family in beginnings if name == part or _begins(name, part)]
    return max(found)[1]


def _begins(name: str, part: str) -> bool:
    return part.endswith(" ") and name.startswith(part)
