"""How reports call rankings and metrics, and when they call a difference more than chance."""

from collections.abc import Sequence
from typing import Any

from app.reports.pages.blocks import count

SURE = 0.05
"""A corrected p-value up to this is more than chance."""

YARDSTICKS = {
    "random": "chance",
    "popularity": "what is popular",
    "history": "what the user searched before",
}
ORACLE = "the best possible (simulated)"
RANKINGS = {"global": "common model", "personal": "own models"}
AGAINST = {**YARDSTICKS, "global": "the common model"}
"""What own models are compared with, in a sentence."""

_NAMES = {
    "nmrr": "NMRR",
    "p10_user_nmrr": "NMRR, 10th percentile of users",
    "accuracy": "accuracy@{k}",
    "plain_accuracy": "plain accuracy@{k}",
    "mrr": "MRR@{k} (RR@{k})",
    "success": "Success@{k}",
}
_MEANINGS = {
    "accuracy": "the share of {places}, or of as many places as suggestions were wanted if these are fewer, "
    "that go to the equally many most wanted suggestions. Place 1 counts 1, place 2 counts 1/2, place 3 "
    "counts 1/3, and so on. Where one suggestion was wanted, only the first place counts: this is Success@1.",
    "plain_accuracy": "the same, with all of these places counting alike. Where one suggestion was wanted, "
    "this too is Success@1.",
    "nmrr": "1/place of every wanted suggestion, added up, and divided by what the best order would give: "
    "1 is perfect. Where one suggestion is wanted, it is 1/place (RR in ir-measures).",
    "mrr": "1/place of the suggestion wanted most, and 0 if it is not in {places}. RR@{k} in ir-measures.",
    "success": "how often the suggestion wanted most is in {places}. It has the same name in ir-measures.",
    "p10_user_nmrr": "one user in ten is served worse than this.",
}


def metric_name(name: str) -> str:
    """A metric as tables head it: ours, and in brackets that of ir-measures where it is another."""
    base, _, k = name.partition("@")
    return _NAMES.get(base, name).format(k=k)


def meanings(metrics: Sequence[str]) -> list[tuple[str, str]]:
    """What each metric says, in a sentence."""
    told = []
    for name in metrics:
        base, _, k = name.partition("@")
        places = "the first place" if k == "1" else f"the first {k} places"
        told.append((metric_name(name), _MEANINGS.get(base, "").format(places=places, k=k)))
    return told


def verdict(pair: dict[str, Any]) -> str:
    """Whether a difference is more than chance."""
    if pair["p_holm"] is None:
        return "unknown: one user"
    if pair["low"] == pair["high"] == 0:
        return "no difference"
    if pair["p_holm"] > SURE:
        return "not shown"
    return "yes, better" if pair["mean"] > 0 else "yes, worse"


def standing(pair: dict[str, Any]) -> str:
    """Where own models stand beside what they are compared with."""
    if pair["low"] == pair["high"] == 0:
        return "exactly alike"
    if pair["p_holm"] is None or pair["p_holm"] > SURE:
        return "not told from chance"
    return "better" if pair["mean"] > 0 else "worse"


def slates(dataset: dict[str, Any]) -> str:
    """What is ranked for: searches, or the queries of imported features, of which nothing else is known."""
    return "searches" if dataset["log"] else "queries"


def missed(dataset: dict[str, Any]) -> str:
    """In how many searches nobody could have ranked well."""
    if not dataset["missed"]:
        every = "search" if dataset["log"] else "query"
        return f"In every {every} something that was wanted was on offer."
    told = f"In {count(dataset['missed'])} of {count(dataset['slates'])} {slates(dataset)}"
    return f"{told} nothing that was wanted was on offer; all figures count these as 0."
