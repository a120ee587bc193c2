"""The catalogue: large, readable, spread over topics, and the same on every machine."""

import re
from collections import Counter

from data.catalogue import MAX_LENGTH, MIN_LENGTH, TOPICS, catalogue


def test_large_and_without_repeats() -> None:
    texts = [query.text for query in catalogue()]
    assert len(texts) >= 8000
    assert len(set(texts)) == len(texts)


def test_every_topic_has_many_queries() -> None:
    sizes = Counter(query.topic for query in catalogue())
    assert len(TOPICS) == len(set(TOPICS)) >= 12
    assert set(sizes) == set(TOPICS)
    assert min(sizes.values()) >= 300


def test_readable_texts() -> None:
    for text, _ in catalogue():
        assert re.fullmatch(r"[a-z0-9]+([ -][a-z0-9]+)*", text), text
        assert MIN_LENGTH <= len(text) <= MAX_LENGTH


def test_one_letter_leaves_many_completions() -> None:
    """A pool of 3·25 candidates must be there for most first letters, or personal taste has no room."""
    first = Counter(query.text[0] for query in catalogue())
    assert len(first) == 26
    assert sum(size for size in first.values() if size >= 75) > 0.95 * first.total()


def test_articles_and_verbs_agree() -> None:
    texts = {query.text for query in catalogue()}
    assert {"how to play the euphonium", "how does an annuity work", "is diabetes dangerous"} <= texts
    assert {"are headaches dangerous", "how long does asthma last", "how to choose a ukulele"} <= texts
    assert not any(re.search(r"\ba ([aio]|e[^u])|\ban [^aeiou]", text) for text in texts)


def test_deterministic() -> None:
    assert catalogue.__wrapped__() == catalogue.__wrapped__() == catalogue()
