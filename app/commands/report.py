"""The commands `persarank report` and `persarank compare`: what is known of some runs, together."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import click
import typer

from app.commands import completion
from app.commands.options import Cutoff, Runs, Split, one_of
from app.commands.paths import path
from app.commands.printing import Json, show, warn

Data = Annotated[
    list[Path] | None,
    typer.Option(
        parser=path,
        metavar="DIR",
        help="A dataset that has moved since training; may be given several times.",
    ),
]


def report(
    runs: Runs,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=path, metavar="FILE", help="The page, an HTML file that needs nothing else."
        ),
    ] = None,
    data: Data = None,
    split: Split = "test",
    cutoff: Cutoff = 10,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the report as Markdown.")] = False,
) -> None:
    """Report on runs in one page: how good they are, for whom, how surely, and how training went.

    What cannot be read is named, and the other runs are reported.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown cannot be printed at once.")
    if out is None and not (as_json or as_markdown):
        raise click.UsageError(
            "name the page with --out report.html, or print the figures with --json or --markdown."
        )
    if out is not None:
        _require_replaceable(out)
    from app.commands.progress import ProgressBars
    from app.reports.evidence import figures
    from app.reports.evidence.gathering import gather
    from app.reports.pages import html, markdown
    from app.reports.pages.story import story
    from data.files import write_bytes
    from data.schema import SPLITS

    one_of("--split", split, SPLITS)
    with ProgressBars(quiet=as_json or as_markdown) as bars:
        found = figures.report(gather(runs, data or (), split, bars.tell, warn, cutoff), split, warn)
    blocks = story(found)
    if out is not None:
        write_bytes(out, html.page(blocks).encode())
    if as_json:
        show(lambda result, console: None, found, True)
    elif as_markdown:
        print(markdown.text(blocks), end="", flush=True)
    else:
        judged = sum(len(dataset["runs"]) for dataset in found["datasets"])
        print(f"Reported {judged} of {len(runs)} runs in {out}.", flush=True)


def compare(
    runs: Runs,
    baseline: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="DIR",
            help="The run that others on its data are compared with. [default: the first]",
            autocompletion=completion.runs,
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The metric that ranks: {metrics}; with another --cutoff, its number stands there.",
            autocompletion=completion.listed("metrics"),
        ),
    ] = "nmrr",
    data: Data = None,
    split: Split = "test",
    cutoff: Cutoff = 10,
    as_json: Json = False,
) -> None:
    """Rank runs, each beside a pinned baseline; those that differ only by seed are averaged."""
    from app.commands.progress import ProgressBars
    from app.reports import comparison
    from app.reports.evidence.figures import ranking_of
    from app.reports.evidence.gathering import gather
    from app.runs.directory import RunError
    from data.schema import SPLITS
    from ranking.metrics import METRICS, with_cutoff

    one_of("--split", split, SPLITS)
    known = dict.fromkeys(with_cutoff(name, cutoff) for name in METRICS)
    one_of("--by", by, known)
    if baseline is not None:
        runs = [baseline, *(run for run in runs if run.resolve() != baseline.resolve())]
    with ProgressBars(quiet=as_json) as bars:
        gathered = gather(runs, data or (), split, bars.tell, warn, cutoff)
    if baseline is not None and gathered.judged[0].run.directory != baseline:
        raise RunError("the baseline cannot be judged, so there is nothing to compare with.")
    show(comparison.tables, ranking_of(gathered, by, warn), as_json)


def _require_replaceable(out: Path) -> None:
    """Refuse, before the work begins, to write over what is no report, or where nothing can be written."""
    from app.reports.pages.html import MARK

    if out.exists() and (not out.is_file() or MARK.encode() not in out.read_bytes()[:1000]):
        raise click.UsageError(f"{out} exists and is no report: choose another --out.")
    folder = next(place for place in out.absolute().parents if place.exists())
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise click.UsageError(
            f"{out} cannot be written, {folder}: {error.strerror}: choose another --out."
        ) from error
