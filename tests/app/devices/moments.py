"""Random moments: users who search for this and that, and type; with the lists that a suggester gives."""

import random
from typing import Any

from app.suggestions.suggester import Suggester
from app.suggestions.visit import Visit

STRANGE = (
    "Caffè  latte",
    "cafe\u0301",
    "ΟΔΟΣ σοφός",
    "İstanbul",
    "🦀 crab 🦀",
    "x" * 230,
    " \t",
    "\u200b",
    "a\x00b\x85c",
    "Ⅷ ﬁn",
    "ha\ufeffha\u2003ho ",
    "\ud800broken",
)
STEP = dict[str, Any]


def moments(suggester: Suggester, users: list[str | None], each: int, seed: int) -> list[list[STEP]]:
    """For every user steps: {"observe": text}, and {"typed": text, "lists": [text, score, own]}.

    Args:
        suggester: whose lists they are.
        users: names, None for somebody new.
        each: how often every user types.
        seed: of all that is random.
    """
    draw = random.Random(seed)
    return [_of_user(suggester, user, each, draw) for user in users]


def _of_user(suggester: Suggester, user: str | None, each: int, draw: random.Random) -> list[STEP]:
    visit = suggester.guest() if user is None else suggester.visit(suggester.users.index(user))
    steps: list[STEP] = []
    for _ in range(each):
        while draw.random() < 0.4:
            text = _text(suggester, visit, draw)
            visit = suggester.observe(visit, text)
            steps.append({"observe": text})
        text = _text(suggester, visit, draw)
        typed = text[: draw.choice((0, 1, 1, 2, 2, 3, 4, 6, 9, 15, 300))] + draw.choice(
            ("", "", "", " ", "\u3000")
        )
        found = suggester.suggest(visit, typed, 100).personal
        steps.append({"typed": typed, "list": [[one.text, one.score, one.own] for one in found]})
    return steps


def _text(suggester: Suggester, visit: Visit, draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.5:
        return draw.choice(suggester.log.public.texts)
    if kind < 0.75:
        return draw.choice(suggester.recent(visit, 20) or ["nothing yet"])
    if kind < 0.9:
        return draw.choice(suggester.log.public.texts)[: draw.randint(1, 8)] + draw.choice(("", " new", "ly"))
    return draw.choice(STRANGE)
