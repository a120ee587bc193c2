"""How training went, and on which data: the last sections of a report."""

from typing import Any

from app.reports.pages.blocks import Block, Chart, Heading, Table, Text, count, figure
from app.reports.pages.charts import beside, lines
from app.reports.pages.users import key
from app.reports.pages.words import slates
from app.reports.tables import plain


def training(dataset: dict[str, Any], level: int) -> list[Block]:
    """Learning curves, staleness, time and phases."""
    blocks: list[Block] = [Heading("How did training go?", level)]
    problems = [problem for group in dataset["groups"] for problem in group["learning"]["problems"]]
    blocks += [Text(f"Left out here: {problem}") for problem in problems]
    return [*blocks, *_curves(dataset), *_staleness(dataset), _runs(dataset), _phases(dataset)]


def _curves(dataset: dict[str, Any]) -> list[Block]:
    """NMRR on validation slates against updates, and against virtual time if any passed."""
    groups = [group for group in dataset["groups"] if len(group["learning"]["curve"]["updates"]) > 1]
    if not groups:
        return []
    letters = [group["group"] for group in groups]
    rows = [
        {"group": group["group"], "updates": u, "virtual_time": t, "y": y, "low": low, "high": high}
        for group in groups
        for u, t, y, low, high in zip(*group["learning"]["curve"].values(), strict=True)
    ]
    panels = [
        lines([row | {"x": row["updates"]} for row in rows], letters, "client updates", "NMRR", width=380)
    ]
    timed = [row | {"x": row["virtual_time"]} for row in rows if _timed(groups, row["group"])]
    if timed:
        panels.append(lines(timed, letters, "virtual time", "NMRR", width=380))
    ends = "; ".join(
        f"{group['group']} ends at {figure(group['learning']['curve']['nmrr'][-1])}" for group in groups
    )
    what = f"validation {slates(dataset)}"
    caption = f"Learning curves: NMRR on {what} while training went on"
    table = Table(
        f"{caption}: the figures",
        ("ranker", "updates", "virtual time", "NMRR", "lowest seed", "highest seed"),
        [
            (
                row["group"],
                count(row["updates"]),
                f"{row['virtual_time']:.1f}",
                figure(row["y"]),
                figure(row["low"]),
                figure(row["high"]),
            )
            for row in rows
        ],
    )
    told = (
        "Curves are of the common model or, where there is none, of the mean over users' own models before "
        "these are made final. A band reaches from the lowest to the highest seed. Virtual time is that of "
        "the simulated network, in the units of the delays that the settings name; it does not depend on "
        "the machine. Of trainings over real messages, it is seconds."
    )
    chart = Chart(caption, f"NMRR on {what}: {ends}.", beside(*panels), table, key(groups))
    return [Text(told), chart]


def _timed(groups: list[dict[str, Any]], letter: str) -> bool:
    """Whether virtual time passed in a group's training."""
    return any(g["group"] == letter and g["learning"]["curve"]["virtual_time"][-1] > 0 for g in groups)


def _staleness(dataset: dict[str, Any]) -> list[Block]:
    """How many versions a model was behind when an update arrived."""
    groups = [group for group in dataset["groups"] if group["learning"]["staleness"]["max"]]
    if not groups:
        return []
    rows = []
    for group in groups:
        counts = {int(k): n for k, n in group["learning"]["staleness"]["counts"].items()}
        for k in _marks(counts):
            rows.append({"group": group["group"], "x": k, "y": 100 * counts.get(k, 0) / sum(counts.values())})
    said = "; ".join(
        f"{g['group']} mean {g['learning']['staleness']['mean']:.2f}, at most "
        f"{g['learning']['staleness']['max']}"
        for g in groups
    )
    caption = "Staleness: how many versions of the model had passed when an update arrived"
    table = Table(
        f"{caption}: the figures",
        ("ranker", "versions", "share of updates, %"),
        [(row["group"], str(row["x"]), f"{row['y']:.2f}") for row in rows],
    )
    picture = lines(rows, [group["group"] for group in groups], "versions behind", "share of updates, %")
    return [Chart(caption, f"Staleness: {said}.", picture, table, f"{key(groups)}. {said}.")]


def _marks(counts: dict[int, int]) -> list[int]:
    """Where a line needs a point: at what has been counted, and at the noughts beside it."""
    marks = {k + step for k in counts for step in (-1, 0, 1)}
    return sorted(k for k in marks if 0 <= k <= max(counts))


def _runs(dataset: dict[str, Any]) -> Table:
    """What each training took."""
    rows = []
    for run in dataset["runs"]:
        told = run["training"]
        stale, kept = told["staleness"] or {}, told["kept"] or {}
        rows.append(
            (
                run["run"],
                f"{run['group']}, seed {run['seed']}" + ("" if run["finished"] else ", not finished"),
                plain(told["updates"]),
                plain(told["seconds"]),
                plain(told["updates_per_second"]),
                plain(told["virtual_time"]),
                plain(stale.get("mean")),
                plain(stale.get("max")),
                plain(sum((told["refused"] or {}).values())),
                f"{kept.get('which')}, after {count(kept['updates'])}" if kept.get("updates") else "–",
            )
        )
    headings = (
        "run",
        "ranker",
        "client updates",
        "training, s",
        "updates per s",
        "virtual time",
        "mean staleness",
        "largest",
        "refused updates",
        "model kept",
    )
    return Table("What each training took", headings, rows, words=2)


def _phases(dataset: dict[str, Any]) -> Table:
    """Wall time of every phase."""
    names = list(dict.fromkeys(name for run in dataset["runs"] for name in run["training"]["phases"]))
    rows = [
        (run["run"], *(plain(run["training"]["phases"].get(name)) for name in names))
        for run in dataset["runs"]
    ]
    return Table("Seconds that each phase took", ("run", *names), rows, folded=True)


def data(dataset: dict[str, Any], level: int) -> list[Block]:
    """The validity card."""
    rows = [(name.replace("_", " "), plain(value)) for name, value in dataset["card"].items()]
    return [
        Heading("What are the data?", level),
        Table(
            f"The data with the fingerprint {dataset['fingerprint']}", ("property", "value"), rows, words=2
        ),
    ]
