"""The reasons for a suggestion in two or three plain sentences, from what its features mean."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.suggestions.visit import Standing
from ranking.history import HISTORY
from ranking.units import Quantity

MOST = 3
"""Sentences, at most."""

MATTERS = 0.1
"""Of what all families contribute, without their signs, the least that deserves a sentence."""


NOTHING = "You have not searched anything yet"
"""Where features look back on no search."""

OTHERS = "others"
"""Who has searched something."""


class Told(Protocol):
    """A feature of a candidate and the median of all, in units that people know."""

    @property
    def meaning(self) -> Quantity: ...

    @property
    def usual(self) -> Quantity: ...


Values = Mapping[str, Told]


@dataclass(frozen=True)
class Context:
    """What sentences name: texts as somebody typed them.

    Attributes:
        word: the first word of the suggestion.
        last: the user's last search, and ``before`` the one before it; None where there is none.
        events: how many of the user's searches features look back on.
        topic: of the suggestion, where topics are known.
        bounded: whether searches of others count only where enough of them share one.
    """

    word: str
    last: str | None
    before: str | None
    events: int
    topic: str | None
    bounded: bool = False

    @classmethod
    def of(cls, standing: Standing, text: str) -> "Context":
        """What is known of a candidate when a visit stands so."""
        texts, others = standing.others.texts, standing.others
        query = standing.past.events.query
        last, before = (texts[query[-back]] if len(query) >= back else None for back in (1, 2))
        topic = int(others.topic[texts.index(text)])
        named = others.topics[topic] if topic >= 0 else None
        return cls(text.split(" ", 1)[0], last, before, min(len(query), HISTORY), named, others.bounded)

    @property
    def latest(self) -> str:
        """The user's searches that features look back on."""
        return f"your last {self.events} searches" if self.events != 1 else "your only search so far"


def sentences(parts: Sequence[tuple[str, float]], values: Values, context: Context) -> tuple[str, ...]:
    """At most MOST sentences.

    Args:
        parts: families and what they contribute, the most important one first.
        values: of all features, by name.
        context: what sentences name.
    """
    total = sum(abs(contribution) for _, contribution in parts)
    found = []
    for family, contribution in parts[:MOST]:
        if contribution and abs(contribution) >= MATTERS * total:
            direction = "up" if contribution > 0 else "down"
            found.append(f"{_TELL[family](values, context)}, which moves it {direction}.")
    return tuple(found)


def times(number: float) -> str:
    """How often, in words."""
    count = round(number)
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _searched(who: str, number: float, context: Context, what: str = "it") -> str:
    """How often somebody searched something, as a clause."""
    if context.bounded and who == OTHERS:
        if not round(number):
            return f"too few {who} searched {what} for it to count"
        return f"{who} searched {what}, and that counts {times(number)}"
    if not round(number):
        return f"{who} have never searched {what}"
    return f"{who} searched {what} {times(number)}"


def _others(values: Values, context: Context) -> str:
    own, usual = (round(q.number) for q in (values["popularity"].meaning, values["popularity"].usual))
    what = f"Others searched it {times(own)}" if own else "Nobody else has searched it"
    if context.bounded:
        what = _searched(OTHERS, own, context).capitalize()
    if own == usual:
        return f"{what}, as often as half of the candidates or more"
    return f"{what}; the median of the candidates is {usual:,}"


def _length(values: Values, context: Context) -> str:
    own, usual = (round(q.number) for q in (values["length"].meaning, values["length"].usual))
    return f"It has {own} character{'' if own == 1 else 's'}; the median of the candidates is {usual}"


def _own(values: Values, context: Context) -> str:
    count = round(values["own count"].meaning.number)
    if not count:
        return f"It is not among {context.latest}" if context.events else NOTHING
    others = round(values["popularity"].meaning.number)
    fewer = "nobody else has" if not others else f"others only {times(others)}"
    if context.bounded:
        fewer = _searched(OTHERS, others, context)
    return f"You searched it {times(count)} among {context.latest}" + (f"; {fewer}" if others < count else "")


def _lately(values: Values, context: Context) -> str:
    ago = values["own recency"].meaning.number
    if math.isinf(ago):
        return f"It is not among {context.latest}" if context.events else NOTHING
    back = round(ago)
    return "It was your last search" if back == 1 else f"You last searched it {back} searches ago"


def _first_word(values: Values, context: Context) -> str:
    if not context.events:
        return NOTHING
    count = round(values["own first word"].meaning.number)
    if not count:
        return f"None of {context.latest} begins with “{context.word}”"
    return f"{count} of {context.latest} {'begins' if count == 1 else 'begin'} with “{context.word}”"


def _same(values: Values, context: Context) -> str:
    same = values["equals previous"].meaning.number > 0.5
    return "It is what you searched last" if same else "It is not what you searched last"


def _next(values: Values, context: Context) -> str:
    return f"After “{context.last}” " + _searched(OTHERS, values["follows previous"].meaning.number, context)


def _own_next(values: Values, context: Context) -> str:
    return f"After “{context.last}” " + _searched(
        "you", values["own follows previous"].meaning.number, context
    )


def _later(who: str, prefix: str) -> Callable[[Values, Context], str]:
    """Of three kinds of steps the one in which the candidate differs most from the median."""
    kinds: dict[str, Callable[[Context], tuple[str, str]]] = {
        "follows the one before": lambda c: (f"Two searches after “{c.before}”", "it"),
        "follows first word": lambda c: (f"After searches that begin with “{_word(c.last)}”", "it"),
        "first word follows first word": lambda c: (
            f"After searches that begin with “{_word(c.last)}”",
            f"something with “{c.word}”",
        ),
    }

    def told(values: Values, context: Context) -> str:
        def distance(kind: str) -> float:
            value = values[prefix + kind]
            return abs(math.log1p(value.meaning.number) - math.log1p(value.usual.number))

        kind = max(kinds, key=distance)
        when, what = kinds[kind](context)
        return f"{when} {_searched(who, values[prefix + kind].meaning.number, context, what)}"

    return told


def _word(text: str | None) -> str:
    return (text or "").split(" ", 1)[0]


def _topic(values: Values, context: Context) -> str:
    if context.topic is None:
        return "It has no topic"
    if not context.events:
        return NOTHING
    count = round(values["own topic share"].meaning.number * context.events)
    about = f"{count or 'None'} of {context.latest} {'are' if count > 1 else 'is'}"
    return f"{about} about its topic, “{context.topic}”"


def _letters(values: Values, context: Context) -> str:
    return "The network reads its letters"


_TELL: dict[str, Callable[[Values, Context], str]] = {
    "how often others search it": _others,
    "its length": _length,
    "how often you search it": _own,
    "how lately you searched it": _lately,
    "your searches with its first word": _first_word,
    "whether you searched it last": _same,
    "what others search next": _next,
    "what you search next": _own_next,
    "what others search later": _later(OTHERS, ""),
    "what you search later": _later("you", "own "),
    "its topic": _topic,
    "its letters": _letters,
}
"""By family of features what the sentence says, but for its end."""
