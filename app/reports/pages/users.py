"""Whom rankings serve well and whom badly, and when own models help: the middle sections of a report."""

from typing import Any

from app.reports.evidence.gains import AXES
from app.reports.evidence.people import CLEARLY
from app.reports.pages.blocks import Block, Chart, Heading, Table, Text, change, count, figure, people
from app.reports.pages.charts import below, letters, lines
from app.reports.pages.words import AGAINST, RANKINGS, YARDSTICKS, missed, slates
from app.runs.evaluation import COLD

SHOWN = 10
"""Users who are named for each ranker; `--json` names all."""

TOLD = (0, 10, 25, 50, 75, 90, 100)
"""Percentiles that tables show."""


def key(groups: list[dict[str, Any]]) -> str:
    """What the letters stand for."""
    return " · ".join(f"{group['group']}: {group['label']}" for group in groups)


def spread(dataset: dict[str, Any], level: int) -> list[Block]:
    """How figures differ from user to user, and who loses."""
    return [
        Heading("How does it differ from user to user, and who loses?", level),
        distribution(dataset),
        Text(
            "Compared are users' own models with something that is not personal, user by user. A change of "
            f"NMRR below {CLEARLY} counts as none."
        ),
        _changes(dataset),
        *_names(dataset),
    ]


def distribution(dataset: dict[str, Any]) -> Chart:
    """A line for each group: the NMRR that so many users do not reach."""
    levels = dataset["levels"]
    series = {g["group"]: g["spread"]["percentiles"]["personal"] for g in dataset["groups"]}
    history = dataset["groups"][0]["spread"]["percentiles"].get("history")
    if history is not None:
        series["history"] = history
    rows = [
        {"group": name, "x": x, "y": y}
        for name, values in series.items()
        for x, y in zip(levels, values, strict=True)
    ]
    caption = "NMRR of users, from the worst served to the best served"
    middle = "; ".join(f"{name} {figure(values[levels.index(50)])}" for name, values in series.items())
    table = Table(
        f"{caption}: percentiles",
        ("ranking", *(f"{level} %" for level in levels)),
        [(name, *map(figure, values)) for name, values in series.items()],
    )
    across = "users who are served worse, in %"
    own = all(group["own_models"] for group in dataset["groups"])
    of_models = "All are own models" if own else "Own models, or the common one where a ranker makes none"
    of_history = f"; history is {YARDSTICKS['history']}"
    return Chart(
        caption,
        f"Lines that rise from the worst served user to the best served one. Half of the users are below: "
        f"{middle}.",
        lines(rows, list(series), across, "NMRR"),
        table,
        f"{key(dataset['groups'])}. {of_models}{'' if history is None else of_history}.",
    )


def _changes(dataset: dict[str, Any]) -> Table:
    """How many gain and lose."""
    rows = []
    for group in dataset["groups"]:
        for than, told in group["spread"]["changes"].items():
            losers = told["losers"]
            rows.append(
                (
                    group["group"],
                    AGAINST[than],
                    count(told["better"]),
                    count(told["same"]),
                    count(told["worse"]),
                    change(losers[0]["difference"]) if losers else "–",
                )
            )
    headings = ("own models of", "compared with", "better", "about the same", "worse", "largest loss of NMRR")
    return Table("Users who gain and users who lose", headings, rows, words=2)


def _names(dataset: dict[str, Any]) -> list[Block]:
    """The users who lose most and those who gain most, by name, beside each thing that is not personal."""
    return [
        _named(group["group"], than, told[kind], how)
        for group in dataset["groups"]
        for than, told in group["spread"]["changes"].items()
        for kind, how in (("losers", "worse"), ("gainers", "better"))
        if told[kind] and than != "random"
    ]


def _named(letter: str, than: str, users: list[dict[str, Any]], how: str) -> Table:
    """Users whose ranking is clearly worse, or clearly better, the largest change first."""
    some = f"the first {SHOWN} of {people(len(users))}" if len(users) > SHOWN else people(len(users))
    rows = [
        (user["user"], figure(user["before"]), figure(user["own"]), change(user["difference"]))
        for user in users[:SHOWN]
    ]
    caption = f"Who is served {how} by own models of {letter} than by {AGAINST[than]}: {some}"
    return Table(caption, ("user", AGAINST[than], "own model", "difference of NMRR"), rows, folded=True)


def hardest(dataset: dict[str, Any], level: int) -> list[Block]:
    """Cold users, the worst tenth, misses, and users left out."""
    left_out, cold = dataset["all_users"] - dataset["users"], dataset["cold_users"]
    sentences = [
        f"Judged were {count(dataset['slates'])} {slates(dataset)} of {people(dataset['users'])}.",
        f"{people(left_out)} more had none in this part of the data."
        if left_out
        else "No user was left out.",
        missed(dataset),
        f"{people(cold)} had fewer than {COLD} {slates(dataset)} to learn from (cold users)."
        if cold
        else f"Every user had at least {COLD} {slates(dataset)} to learn from.",
    ]
    names = {**YARDSTICKS, **RANKINGS}
    rows = []
    for place, group in enumerate(dataset["groups"]):
        for ranking, values in group["spread"]["percentiles"].items():
            shared = ranking in YARDSTICKS
            if shared and place:
                continue
            name = names[ranking] if shared else f"{group['group']}: {names[ranking]}"
            percentiles = [values[dataset["levels"].index(level)] for level in TOLD]
            of_cold = [figure(group["spread"]["cold"][ranking])] if cold else []
            rows.append((name, *map(figure, percentiles), *of_cold))
    headings = ("ranking", *(_percentile(level) for level in TOLD), *(["cold users"] if cold else []))
    return [
        Heading("Who is hardest to serve?", level),
        Text(" ".join(sentences)),
        Table("NMRR of users, from the worst served to the best served", headings, rows),
    ]


def _percentile(level: int) -> str:
    return {0: "worst user", 50: "median", 100: "best user"}.get(level, f"{level}th percentile")


def gains(dataset: dict[str, Any], level: int) -> list[Block]:
    """When own models help."""
    blocks: list[Block] = [
        Heading("When do own models help?", level),
        Text(
            f"Each letter is a ranker's mean gain of NMRR in {slates(dataset)} of one kind, and its bar the "
            "95 % interval over users. Where a bar crosses the dashed line, no gain is shown."
        ),
    ]
    for than in ("global", "history"):
        rows = [row for row in dataset["gains"] if row["against"] == than]
        groups = list(dict.fromkeys(row["group"] for row in rows))
        changes = {group["group"]: group["spread"]["changes"] for group in dataset["groups"]}
        alike = [letter for letter in groups if changes[letter][than]["identical"]]
        if alike:
            same = f"rank exactly as {AGAINST[than]} does, so there is no gain to show"
            blocks.append(Text(f"Own models of {', '.join(alike)} {same}."))
        rows = [row for row in rows if row["group"] not in alike]
        if rows:
            blocks.append(_gain(dataset, rows, than))
    return blocks


def _gain(dataset: dict[str, Any], rows: list[dict[str, Any]], than: str) -> Block:
    """A panel for each way of sorting searches, if that makes more than one bin; the figures of all."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    panels, told = [], []
    titles = {axis.name: axis.title for axis in AXES}
    for axis, title in titles.items():
        mine = [row for row in rows if row["axis"] == axis]
        bins = list(dict.fromkeys(row["bin"] for row in mine))
        if len(bins) > 1:
            panels.append(letters(mine, groups, bins, title, "gain of NMRR"))
            best = max(mine, key=lambda row: row["mean"])
            told.append(f"by {title}, the largest is {change(best['mean'])} ({best['group']}, {best['bin']})")
    caption = f"What own models gain over {AGAINST[than]}"
    table = Table(
        f"{caption}: the figures" if panels else caption,
        (f"{slates(dataset)} by", "bin", "ranker", "gain", "from", "to", slates(dataset), "users"),
        [_gained(titles[row["axis"]], row) for row in rows],
        words=3,
    )
    if not panels:
        return table
    shown = [group for group in dataset["groups"] if group["group"] in groups]
    return Chart(caption, f"{caption}: {'; '.join(told)}.", below(*panels), table, key(shown))


def _gained(title: str, row: dict[str, Any]) -> tuple[str, ...]:
    """One bin of one ranker."""
    figures = map(change, (row["mean"], row["low"], row["high"]))
    return (title, row["bin"], row["group"], *figures, count(row["slates"]), count(row["users"]))
