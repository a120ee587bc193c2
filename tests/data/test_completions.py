"""The completions index against a twin that looks at every query every time."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.completions import POOL_SIZE, Completions

careful = settings(derandomize=True, deadline=None, max_examples=300)
letters = st.text("ab é😀\x7f\U0010ffff", min_size=1, max_size=5)


def naive_pool(
    texts: Sequence[str],
    counts: Sequence[int],
    prefix: str,
    own: Sequence[int],
    unseen: Mapping[int, int],
    k: int,
) -> list[int]:
    """Take off what is unseen, sort what is left and starts right by count and text, cut, append own."""
    left = {i: counts[i] - unseen.get(i, 0) for i in range(len(texts)) if texts[i].startswith(prefix)}
    popular = sorted((i for i in left if left[i] > 0), key=lambda i: (-left[i], texts[i]))[:k]
    return popular + [i for place, i in enumerate(own) if i not in popular and i not in own[:place]]


@st.composite
def moments(draw: st.DrawFn) -> tuple[list[str], list[int], str, list[int], dict[int, int], int]:
    """Texts, counts (with many ties), a prefix, own completions of it, unseen counts and k."""
    texts = draw(st.lists(letters, min_size=1, max_size=40, unique=True))
    counts = draw(st.lists(st.integers(0, 4), min_size=len(texts), max_size=len(texts)))
    prefix = draw(st.sampled_from(texts))[: draw(st.integers(1, 3))]
    fitting = [i for i, text in enumerate(texts) if text.startswith(prefix)]
    own = draw(st.lists(st.sampled_from(fitting), max_size=6))
    unseen = {i: draw(st.integers(0, n)) for i, n in enumerate(counts) if n and draw(st.booleans())}
    return texts, counts, prefix, own, unseen, draw(st.integers(1, 8))


@careful
@given(moments())
def test_pool_equals_its_naive_twin(
    moment: tuple[list[str], list[int], str, list[int], dict[int, int], int],
) -> None:
    texts, counts, prefix, own, unseen, k = moment
    index = Completions(texts, np.array(counts))
    for later in (unseen, {}, unseen):  # a cached answer of one user must not reach another
        assert index.pool(prefix, own, later, k) == naive_pool(texts, counts, prefix, own, later, k)


@careful
@given(moments())
def test_top_equals_its_naive_twin(
    moment: tuple[list[str], list[int], str, list[int], dict[int, int], int],
) -> None:
    texts, counts, prefix, _, _, k = moment
    assert list(Completions(texts, np.array(counts)).top(prefix, k)) == naive_pool(
        texts, counts, prefix, (), {}, k
    )


def test_ties_are_ordered_by_text() -> None:
    assert Completions(["ac", "ab", "aa", "b"], np.array([2, 2, 3, 9])).top("a") == (2, 1, 0)


def test_many_unseen_queries_do_not_push_out_others() -> None:
    """60 queries are popular only through one user's future; for that user the pool looks behind them all."""
    texts = [f"a{i:03d}" for i in range(70)]
    counts = np.array([9] * 60 + [1] * 10)
    index = Completions(texts, counts)
    future = dict.fromkeys(range(60), 9)
    assert index.pool("a", unseen=future, k=5) == [60, 61, 62, 63, 64]
    assert index.pool("a", k=5) == [0, 1, 2, 3, 4]


def test_partly_unseen_falls_behind() -> None:
    index = Completions(["aa", "ab", "ac"], np.array([5, 4, 3]))
    assert index.pool("a", unseen={0: 2}) == [1, 0, 2]  # 3 each: "aa" comes before "ac"
    assert index.pool("a", unseen={0: 5}) == [1, 2]
    assert index.pool("a", own=[0], unseen={0: 5}) == [1, 2, 0], "an own earlier query stays a candidate"


def test_size_of_pools() -> None:
    texts = [f"q{i:03d}" for i in range(200)]
    index = Completions(texts, np.ones(200, np.int64))
    assert index.pool("q", own=[150, 3, 199, 150]) == [*range(POOL_SIZE), 150, 199]
    assert index.pool("q0", own=[], k=3) == [0, 1, 2]
    assert index.pool("x") == []


def test_whole_queries_and_hostile_prefixes() -> None:
    index = Completions(["ab", "abc", "<b>", "שלום", "a\0b"], np.ones(5, np.int64))
    assert index.top("ab") == (0, 1)
    assert index.top("<") == (2,)
    assert index.top("ש") == (3,)
    assert index.top("a\0") == (4,)
    for nothing in ("x" * 10_000, "\0", "😀", "abcd"):
        assert index.top(nothing) == ()
