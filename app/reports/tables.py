"""What the command line prints for people: the same figures as --json, as tables."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from app.reports.layout import draw, paste, say
from app.runs.shell import command

COLUMNS = {
    "nmrr": "NMRR",
    "accuracy@10": "acc@10",
    "plain_accuracy@10": "plain",
    "mrr@10": "MRR@10",
    "success@1": "S@1",
    "success@10": "S@10",
    "p10_user_nmrr": "p10 user",
}


def columns(cutoff: int) -> dict[str, str]:
    """COLUMNS at another cut-off than 10; at 1, Success@1 and Success@k are one column."""
    at = f"@{cutoff}"
    return {name.replace("@10", at): heading.replace("@10", at) for name, heading in COLUMNS.items()}


def card(result: dict[str, Any], console: Console) -> None:
    """A dataset's validity card."""
    rows = []
    for name, value in result.items():
        told = plain(value)
        if name == "left_out":
            told = "\n".join(f"{count} {reason}" for reason, count in value.items()) or "–"
        rows.append((name.replace("_", " "), told))
    draw(console, ("", ""), rows, title="Validity card")


def summary(result: dict[str, Any], console: Console) -> None:
    """How a training went."""
    from ranking.rankers import TREES  # here, since it takes seconds and tables of data do without

    say(console, _fitted(result) if result["ranker"] in TREES else _trained(result))
    for why, times in result["refused"].items():
        say(console, f"{times} updates were refused: {why}.")
    if result.get("network"):
        carried = _messages if "answers" in result["network"] else _network
        say(console, carried(result["network"], result["virtual_time"]))
    if result.get("kept"):
        say(console, _kept(**result["kept"]))
    if result.get("own_models"):
        say(console, _own_models(result["own_models"]))
    figures = ", ".join(f"{name} {value:.4f}" for name, value in result["validation_nmrr"].items())
    say(console, f"NMRR on validation slates: {figures or 'nobody has any'}.")
    if result.get("nodes"):
        say(console, _on_nodes(result["nodes"]))
    _doubts(result, console)
    run = Path(result["run"])
    paste(console, f"Judge it with: {command('evaluate', run)}")
    paste(console, f"Or as a page: {command('report', run, '--out', 'report.html')}")


def _fitted(result: dict[str, Any]) -> str:
    """How long trees took, which are fitted in one piece."""
    return f"Fitted {_named(result)}, in {result['seconds']:.1f} s."


def _trained(result: dict[str, Any]) -> str:
    """How a network was trained."""
    stale = result["staleness"]
    return (
        f"Trained {_named(result)}: "
        f"{result['updates']} updates in {result['seconds']:.1f} s ({result['updates_per_second']:.0f}/s); "
        f"staleness mean {stale['mean']:.2f}, max {stale['max']}, with {result['concurrency']} in flight."
    )


def _named(result: dict[str, Any]) -> str:
    return f"{result['algorithm']} × {result['ranker']} × {result['loss']}, seed {result['seed']}"


def _doubts(result: dict[str, Any], console: Console) -> None:
    """What is wrong with a model, and what may be."""
    for heading, key in (("Warning", "warnings"), ("Note", "notes")):
        for doubt in result[key]:
            say(console, f"{heading}: {doubt['message']}")


def _own_models(chosen: dict[str, Any]) -> str:
    """How far users' own models go, and who has none."""
    among = ", ".join(f"{_infinite(c['value'])}: {_gain(c['loss'])}" for c in chosen["losses"])
    whose = "one user's" if chosen["users_asked"] == 1 else f"{chosen['users_asked']} users'"
    told = f"Own models: {chosen['setting']} = {_infinite(chosen['value'])}"
    told += f", chosen by {whose} NMRR on validation slates ({among})" if among else ""
    if chosen["value"] == "each":
        told = f"Own models: how little a user's own data counts ({chosen['setting']}; at ∞, not at all) is "
        told += "chosen for each user by NMRR on their validation slates"
        told += f" ({whose} mean at {among})" if among else ""
    if chosen["nobody"]:
        told += "; nobody is better off with a model of their own, so all keep the common one"
    elif chosen["kept_common"] is not None:
        told += f"; {_without(chosen['kept_common'])}"
    return f"{told}."


def _without(number: int) -> str:
    """How many users have no model of their own."""
    if number == 0:
        return "every user has a model of their own"
    who = "one user is" if number == 1 else f"{number} users are"
    return f"{who} no better off with a model of their own, and so left with the common one"


def _infinite(value: float | str) -> str:
    return "∞" if value == "inf" else plain(value)


def _gain(loss: float | str) -> str:
    """The NMRR of a loss; that of models that are lost is infinite."""
    return "not finite" if isinstance(loss, str) else f"{1 - loss:.4f}"


def _kept(asked: str, which: str, updates: int, nmrr: float | None) -> str:
    """Which model a run has kept."""
    told = {"last": "The last model is kept", "best": "The model that was best on validation is kept"}[which]
    why = "" if which == asked else " since none was validated on the way"
    figure = "" if nmrr is None else f", with NMRR {nmrr:.4f}"
    return f"{told}{why}, that after {updates} updates{figure}."


def _network(network: dict[str, float], rounds: float) -> str:
    """What a network without a server carried."""
    unit = "seconds" if "restarts" in network else "rounds"  # groups on real clocks have no common rounds
    told = f"In {rounds:.0f} {unit} {network['messages']:,.0f} messages, {network['bytes'] / 1e9:.2f} GB, "
    told += f"of which {network['lost']:,.0f} were lost; mass {network['mass']:.6f} of 1 is there. "
    told += f"Consensus error {network['consensus_error']:.3g}; "
    told += f"smallest weight {network['smallest_weight']:.2g}; "
    told += f"nodes waited {network['guarded']:,.0f} times because theirs was tiny."
    if restarts := network.get("restarts"):
        told += f" Groups went on from their disks {restarts:,.0f} times."
    return told


def _messages(network: dict[str, float], seconds: float) -> str:
    """What was sent between a server and its nodes."""
    told = (
        f"In {seconds:.0f} seconds {network['messages']:,.0f} orders to {network['nodes']:,.0f} nodes with "
    )
    told += f"{network['users']:,.0f} users, {network['bytes_down'] / 1e6:,.1f} MB, and "
    told += f"{network['answers']:,.0f} answers, {network['bytes_up'] / 1e6:,.1f} MB"
    wrong = {
        "late": "given up",
        "errors": "failed",
        "not_asked": "answers that nobody had asked for",
        "rejected": "answers that could not be true",
    }
    counted = [f"{network[name]:,.0f} {what}" for name, what in wrong.items() if network[name]]
    return f"{told}{'; ' if counted else ''}{', '.join(counted)}."


def _on_nodes(nodes: dict[str, Any]) -> str:
    """How good rankings are where users' data and own models are."""
    told = f"Users' data and own models are on {nodes['nodes']} nodes"
    for split in ("validation", "test"):
        found = nodes[split]
        if found["users"]:
            figures = ", ".join(f"{by} {of['nmrr']:.4f}" for by, of in found["metrics"].items())
            told += f"; there, NMRR on {split} slates of {found['users']} users: {figures}"
    return f"{told}."


def evaluation(result: dict[str, Any], console: Console) -> None:
    """One table a run, then the paired differences of runs."""
    for run in result["runs"]:
        title = f"{run['algorithm']} × {run['ranker']} × {run['loss']}, seed {run['seed']} · {run['split']}: "
        title += f"{run['slates']} slates of {_share(run['users'], run['all_users'])} users, "
        title += f"{run['missed']} missed, averaged over {run['averaged_over']}"
        title += "" if run["finished"] else ", of an unfinished run"
        title += ", every user ranked by the next one's model" if run["permuted"] else ""
        named = columns(run["cutoff"])
        rows = [
            (ranking, *(f"{metrics[name]:.4f}" for name in named))
            for ranking, metrics in run["metrics"].items()
            if metrics is not None and not (ranking == "personal" and run.get("nodes"))
        ]
        draw(console, ("ranking", *named.values()), rows, title=title, figures=True)
        if run.get("own_models"):
            say(console, _own_models(run["own_models"]))
        if run.get("nodes"):
            say(console, _on_nodes(run["nodes"]))
        for name, difference in run["personal_minus_global"].items():
            if difference is not None and not run.get("nodes"):
                told = f"personal − global, {name} over {run['averaged_over']}: {interval(difference)}"
                say(console, told)
        _doubts(run, console)
    for difference in result["differences"]:
        say(console, _compared(difference))


def models(result: dict[str, Any], console: Console) -> None:
    """Which models were exported, and what to do with them."""
    out, count = result["out"], len(result["models"])
    many = "1 model" if count == 1 else f"{count} models"
    say(console, f"{out} has {many}, and {result['queries']} queries that others may be told of.")
    if result["kind"] == "web":
        say(console, f"To open it: python -m http.server --bind 127.0.0.1 --directory {shlex.quote(out)}")
    else:
        say(console, f"{Path(out) / 'README.md'} says how a list is made of it.")


def export(result: dict[str, Any], console: Console) -> None:
    """What was exported: a table for each split, and what to know of it."""
    mrr, success = (f"{name}@{result['cutoff']}" for name in ("mrr", "success"))
    for split, part in result["splits"].items():
        say(console, f"{split}: {part['slates']} slates, of which {part['missed']} are missed.")
        rows = [
            (
                name,
                f"{ranking['mean_over_slates'][mrr]:.4f}",
                f"{ranking['mean_over_slates'][success]:.4f}",
                str(ranking["slates_with_ties"]),
                str(ranking["choice_tied"]),
            )
            for name, ranking in part["rankings"].items()
        ]
        named = columns(result["cutoff"])
        headings = ("ranking", named[mrr], named[success], "slates with ties", "own choice tied")
        if rows:
            draw(console, headings, rows, figures=True)
        if any(ranking["choice_tied"] for ranking in part["rankings"].values()):
            say(
                console,
                "Where the user's own choice is tied, lists have one order of many, and figures differ.",
            )
        if part["empty_pools"]:
            say(console, f"{part['empty_pools']} slates have an empty pool, and no line in SVMlight or runs.")
    paste(console, f"Written to {result['out']}; figures are means over slates.")


def _compared(difference: dict[str, Any]) -> str:
    """One run beside another."""
    runs = f"{difference['run']} − {difference['against']}"
    if "why" in difference:
        return f"{runs}: not compared, since {difference['why']}."
    told = f"{runs}, personal nmrr over {difference['averaged_over']}: {interval(difference['nmrr'])}"
    if difference["gap_closed"] is not None:
        told += f"; {closed(difference['gap_closed'])}"
    elif difference["gap"] is not None:
        told += f"; {difference['against']} is not surely below the oracle"
    return told


def closed(share: float) -> str:
    """How much of the gap to the oracle is closed, or how much wider it is."""
    if share < 0:
        return f"{-100 * share:.0f} % further from the oracle"
    return f"{100 * share:.0f} % of the gap to the oracle closed"


def _share(part: int, whole: int) -> str:
    """So many, or so many of all."""
    return str(whole) if part == whole else f"{part} of {whole}"


def interval(difference: Mapping[str, Any]) -> str:
    """A mean difference with its 95 % interval."""
    if difference["low"] is None:
        return f"{difference['mean']:+.4f} (one user: no interval)"
    return f"{difference['mean']:+.4f} (95 % {difference['low']:+.4f} to {difference['high']:+.4f})"


def labelled(changed: Mapping[str, Any]) -> str:
    """In what settings differ from the defaults, in a line."""
    return ", ".join(f"{name} = {plain(value)}" for name, value in changed.items()) or "the defaults"


def plain(value: Any) -> str:
    """A value as people write it: numbers short, truth values as in TOML, a dash for nothing."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items()) or "–"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(part) for part in value) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return str(value).lower()
    return "–" if value is None else str(value)
