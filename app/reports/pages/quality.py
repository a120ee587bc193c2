"""How good rankings are, and which differences are more than chance: the first sections of a report."""

from typing import Any

from app.reports.pages.blocks import (
    Block,
    Chart,
    Heading,
    Points,
    Table,
    Text,
    change,
    figure,
    probability,
)
from app.reports.pages.charts import dots
from app.reports.pages.words import (
    AGAINST,
    ORACLE,
    RANKINGS,
    SURE,
    YARDSTICKS,
    meanings,
    metric_name,
    verdict,
)
from app.reports.tables import closed

Bar = tuple[str, dict[str, float], list[float | None]]
"""What a ranking is called, its metrics, and the interval of one of them."""


def quality(dataset: dict[str, Any], level: int) -> list[Block]:
    """How good each ranking is, beside what needs no training."""
    metrics = dataset["metrics"]
    headline = next(iter(dataset["between"]))
    rows = _rows(dataset, headline)
    return [
        Heading("How good are the suggestions?", level),
        Text(
            "All figures are from 0 to 1, and more is better. A common model ranks alike for everyone; own "
            "models are the users' own, made from it or trained alone; where a ranker makes none, the common "
            "one stands for them below. Suggestions with equal scores count "
            "as if they stood in random order, so a ranker that knows nothing scores what chance does."
        ),
        bars(dataset, headline),
        Table(
            "How good each ranking is, averaged over users",
            ("ranking", *map(metric_name, metrics)),
            [(told, *(figure(values[metric]) for metric in metrics)) for told, values, _ in rows],
        ),
        *_over_seeds(dataset),
        Points(meanings(metrics)),
    ]


def bars(dataset: dict[str, Any], metric: str) -> Chart:
    """Every ranking with its interval; the metric is one of those that are compared."""
    name, rows = metric_name(metric), _rows(dataset, metric)
    values = [{"name": told, "value": of[metric], "low": low, "high": high} for told, of, (low, high) in rows]
    said = "; ".join(f"{told} {figure(of[metric])}" for told, of, _ in rows)
    table = Table(
        f"{name} of each ranking",
        ("ranking", name, "from", "to"),
        [(told, figure(of[metric]), *map(figure, ends)) for told, of, ends in rows],
    )
    caption = f"{name} of each ranking, with its 95 % interval over users"
    return Chart(caption, f"{name} of each ranking: {said}.", dots(values, name), table)


def _rankings(group: dict[str, Any]) -> list[tuple[str, str]]:
    """The rankings that a ranker makes; where all users get the common one, that is all."""
    alike = group["metrics"]["global"] is not None and not group["own_models"]
    return [(ranking, name) for ranking, name in RANKINGS.items() if not (alike and ranking == "personal")]


def _rows(dataset: dict[str, Any], metric: str) -> list[Bar]:
    """Each ranking there is, and the interval of a metric, which is one of those that are compared."""
    rows: list[Bar] = [
        (name, dataset["yardsticks"][key], [None, None])
        for key, name in YARDSTICKS.items()
        if dataset["yardsticks"].get(key) is not None
    ]
    for group in dataset["groups"]:
        for ranking, name in _rankings(group):
            if group["metrics"][ranking] is not None:
                bounds = group["intervals"][ranking][metric]
                rows.append((f"{group['group']}: {name}", group["metrics"][ranking], bounds))
    if dataset["yardsticks"].get("oracle") is not None:
        rows.append((ORACLE, dataset["yardsticks"]["oracle"], [None, None]))
    return rows


def _over_seeds(dataset: dict[str, Any]) -> list[Block]:
    """How much figures differ between seeds, where there are several."""
    rows = []
    for group in dataset["groups"]:
        if len(group["seeds"]) < 2:
            continue
        for ranking, name in _rankings(group):
            if group["over_seeds"][ranking] is not None:
                ends = [group["over_seeds"][ranking][metric] for metric in dataset["metrics"]]
                told = [f"{figure(low)} to {figure(high)}" for low, high in ends]
                rows.append((f"{group['group']}: {name}", *told))
    if not rows:
        return []
    headings = ("ranking", *map(metric_name, dataset["metrics"]))
    return [Table("The lowest and the highest figure of its seeds", headings, rows, folded=True)]


def differences(dataset: dict[str, Any], level: int) -> list[Block]:
    """Which differences are more than chance: to the first group, between all, and within each."""
    blocks: list[Block] = [
        Heading("Which differences are more than chance?", level),
        Text(
            "Every user is ranked by both, and the differences of the same users are averaged. The interval "
            "holds the true mean in 95 of 100 such experiments. p is the probability of so large a "
            "difference if both were equally good; it is corrected (after Holm) for the number of "
            f"comparisons in its table. More than chance is what has a corrected p of at most {SURE}."
        ),
    ]
    first = dataset["groups"][0]["group"]
    for number, (metric, pairs) in enumerate(dataset["between"].items()):
        to_first = [pair for pair in pairs if pair["against"] == first]
        if to_first:
            if number == 0:
                blocks.append(_forest(to_first, metric, first))
            caption = f"Own models of every two rankers compared, {metric_name(metric)}"
            blocks.append(_compared(caption, pairs, metric, folded=len(pairs) > 6 or number > 0))
    for number, (metric, pairs) in enumerate(dataset["within"].items()):
        caption = f"Own models compared with what is not personal, {metric_name(metric)}"
        told = [pair | {"against": AGAINST[pair["against"]]} for pair in pairs]
        blocks.append(_compared(caption, told, metric, folded=number > 0))
    blocks.extend(_of_the_gap(dataset))
    return blocks


def _forest(pairs: list[dict[str, Any]], metric: str, first: str) -> Chart:
    """Differences to the first group."""
    bars = [
        {"name": f"{p['group']} − {first}", "value": p["mean"], "low": p["low"], "high": p["high"]}
        for p in pairs
    ]
    said = "; ".join(f"{b['name']} {change(b['value'])}" for b in bars)
    caption = f"How much better than {first} the others' own models are, {metric_name(metric)}"
    return Chart(
        caption,
        f"Differences of {metric_name(metric)}: {said}.",
        dots(bars, f"difference of {metric_name(metric)}", zero_line=True),
        Table(
            f"{caption}: the figures",
            ("difference", "mean", "from", "to"),
            [(b["name"], change(b["value"]), change(b["low"]), change(b["high"])) for b in bars],
        ),
    )


def _compared(caption: str, pairs: list[dict[str, Any]], metric: str, folded: bool) -> Table:
    """Comparisons, one a row."""
    rows = [
        (
            pair["group"],
            pair["against"],
            change(pair["mean"]),
            change(pair["low"]),
            change(pair["high"]),
            probability(pair["p"]),
            probability(pair["p_holm"]),
            verdict(pair),
        )
        for pair in pairs
    ]
    headings = ("ranker", "minus", "mean difference", "from", "to", "p", "p, corrected", "more than chance?")
    return Table(caption, headings, rows, words=2, folded=folded)


def _of_the_gap(dataset: dict[str, Any]) -> list[Block]:
    """How much nearer to the best possible each ranker is than the first, or how much further from it."""
    if all(told.get("gap_closed") is None for told in dataset["differences"]):
        return []
    first = dataset["groups"][0]
    gap = dataset["yardsticks"]["oracle"]["nmrr"] - first["metrics"]["personal"]["nmrr"]
    rows = [
        (pair["group"], closed(pair["mean"] / gap))
        for pair in dataset["between"]["nmrr"]
        if pair["against"] == first["group"] and gap > 0
    ]
    if not rows:
        return []
    caption = f"The gap in NMRR between {first['group']} and {ORACLE}, the oracle: what others make of it"
    return [Table(caption, ("ranker", f"beside {first['group']}"), rows, words=2, folded=True)]
