"""Reasons in plain sentences: what they say of nothing, of one, and of what too few share."""

from dataclasses import replace

from app.suggestions.reasons import Value
from app.suggestions.words import Context, sentences, times
from ranking.units import Quantity


def test_sentences_are_idiomatic_at_the_edges() -> None:
    """Nothing, one, and a tie with others."""
    told = {
        name: Value(name, 0, 0, Quantity(number, ""), Quantity(9.0, ""))
        for name, number in {
            "own count": 2.0,
            "popularity": 2.0,
            "length": 1.0,
            "own first word": 0.0,
            "own topic share": 0.0,
            "follows previous": 0.0,
            "own follows previous": 0.0,
            "own follows the one before": 2.0,
            "own follows first word": 9.0,
            "own first word follows first word": 9.0,
        }.items()
    }

    def sentence(family: str, events: int = 8) -> str:
        context = Context("owl", "hut", "hotel", events, "birds")
        (found,) = sentences([(family, 1.0)], told, context)
        return found.removesuffix(", which moves it up.")

    assert sentence("its length") == "It has 1 character; the median of the candidates is 9"
    assert sentence("how often you search it") == "You searched it twice among your last 8 searches"
    told["popularity"] = replace(told["popularity"], meaning=Quantity(1.0, ""))
    assert sentence("how often you search it").endswith("your last 8 searches; others only once")
    assert sentence("your searches with its first word", 0) == "You have not searched anything yet"
    assert sentence("its topic", 0) == "You have not searched anything yet"
    assert sentence("what others search next") == "After “hut” others have never searched it"
    assert sentence("what you search next") == "After “hut” you have never searched it"
    assert sentence("what you search later") == "Two searches after “hotel” you searched it twice"


def test_what_too_few_share_is_not_said_to_be_searched_by_nobody() -> None:
    """Where public counts are bounded, 0 does not mean that nobody did, nor 2 that it was twice."""
    context = Context("owl", "hut", "hotel", 8, None, bounded=True)

    def told(count: float) -> list[str]:
        values = {
            name: Value(name, 0, 0, Quantity(number, ""), Quantity(9.0, ""))
            for name, number in {"own count": 3.0, "popularity": count, "follows previous": count}.items()
        }
        families = ("how often others search it", "how often you search it", "what others search next")
        return [sentences([(one, 1.0)], values, context)[0].rpartition(",")[0] for one in families]

    assert told(0) == [
        "Too few others searched it for it to count; the median of the candidates is 9",
        "You searched it 3 times among your last 8 searches; too few others searched it for it to count",
        "After “hut” too few others searched it for it to count",
    ]
    assert told(2) == [
        "Others searched it, and that counts twice; the median of the candidates is 9",
        "You searched it 3 times among your last 8 searches; others searched it, and that counts twice",
        "After “hut” others searched it, and that counts twice",
    ]


def test_times_in_words() -> None:
    assert [times(n) for n in (0, 1.0001, 2, 3, 1234)] == ["never", "once", "twice", "3 times", "1,234 times"]
