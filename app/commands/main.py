"""The command `persarank`. Every command prints a table for people, or with --json one line for programs.

Exit codes: 0 ok · 1 interrupted but saved · 2 usage · 3 bad data · 4 bad config · 5 broken run
directory · 6 untrusted model.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from app.commands.datasets import data_commands
from app.commands.printing import Json, Out, show, warn

if TYPE_CHECKING:
    from app.runs.settings import Settings
    from federated.training import Event


class Experiment(StrEnum):
    """What `reproduce` can run."""

    persa_fl = "persa-fl"
    pars_push = "pars-push"
    memrl = "memrl"


SIGNALLED = 130
"""What typer makes of a Ctrl-C that nobody else took."""

OK, INTERRUPTED, USAGE, BAD_DATA, BAD_CONFIG, BAD_RUN, BAD_MODEL = range(7)

commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Personal autocomplete rankers, trained without collecting anyone's searches.",
    epilog="Exit codes: 0 ok, 1 interrupted but saved, 2 usage, 3 bad data, 4 bad config, "
    "5 broken run directory, 6 untrusted model.",
)
commands.add_typer(data_commands, name="data")


@commands.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options before the command."""
    if debug:
        os.environ["PERSARANK_DEBUG"] = "1"


@commands.command()
def train(
    data: Annotated[Path, typer.Option(help="A dataset directory.")],
    out: Out,
    algorithm: Annotated[str | None, typer.Option(help="See `list`. [default: persa-fl-me]")] = None,
    ranker: Annotated[str | None, typer.Option(help="See `list`. [default: mlp]")] = None,
    loss: Annotated[str | None, typer.Option(help="See `list`. [default: the ranker's first]")] = None,
    objective: Annotated[str | None, typer.Option(help="Instead of the algorithm's own; see `list`.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Instead of the algorithm's own; see `list`.")] = None,
    updates: Annotated[
        int | None, typer.Option(help="Client updates that arrive. [default: see `list`]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Keys every random draw. [default: 0]")] = None,
    evaluations: Annotated[
        int | None, typer.Option(help="Validations on the way; 0: none. [default: 20]")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Updates between checkpoints. [default: a 16th of all, at least 500]")
    ] = None,
    compiled: Annotated[
        bool | None, typer.Option("--compile", help="Compile the clients' steps first: half a minute.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="A hyper-parameter, key=value; see `list`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a ranker into a run directory."""
    from app.runs.directory import settings_from
    from app.runs.training import train_run
    from data.schema import read

    given = {"algorithm": algorithm, "objective": objective, "schedule": schedule, "ranker": ranker}
    given |= {"loss": loss, "updates": updates, "seed": seed, "evaluations": evaluations}
    given |= {"checkpoint_every": checkpoint_every, "compile": compiled}
    settings = settings_from(config, given, sets or [])
    dataset = read(data)
    _train(settings, as_json, lambda watch: train_run(settings, data, dataset, out, watch))


@commands.command()
def resume(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    data: Annotated[Path | None, typer.Option(help="The dataset, if it has moved.")] = None,
    as_json: Json = False,
) -> None:
    """Go on with a training that was interrupted or killed, from its last checkpoint."""
    from app.runs.directory import CHECKPOINTS, finished, open_started
    from app.runs.training import resume_run
    from data.schema import read

    started = open_started(run)
    summary = finished(run)
    if summary is not None:
        shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)  # a kill may have come before that
        warn(f"{run} is finished; nothing is left to do.")
        show("summary", summary, as_json)
        return
    dataset = read(started.source(data))
    _train(started.settings, as_json, lambda watch: resume_run(started, dataset, watch, warn))


def _train(
    settings: "Settings", as_json: bool, run: Callable[[Callable[["Event"], None]], dict[str, Any]]
) -> None:
    """Run a training with a progress bar, and print its summary."""
    from app.commands.progress import TrainingBar
    from app.runs.training import UnfinishedError

    with TrainingBar(settings.label, settings.updates, quiet=as_json) as bar:
        try:
            summary = run(bar.see)
        except UnfinishedError as stopped:
            if as_json and stopped.summary:
                print(json.dumps(stopped.summary), flush=True)
            raise
    show("summary", summary, as_json)


@commands.command()
def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; differences are to the first.")],
    data: Annotated[Path | None, typer.Option(help="The dataset, if it has moved since training.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    average: Annotated[str, typer.Option(help="Average over 'users' or over 'slates'.")] = "users",
    permute_users: Annotated[
        bool, typer.Option("--permute-users", help="Rank each user by the next one's model, to break a gain.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Judge runs on held-out slates, beside chance, popularity and, where it is known, the truth."""
    from app.runs.evaluation import compare, describe, save_report
    from app.runs.evaluation import evaluate as judge_all
    from data.schema import SPLITS

    if split not in SPLITS:
        raise click.UsageError(f"--split is one of {', '.join(SPLITS)}, not {split!r}.")
    if average not in ("users", "slates"):
        raise click.UsageError(f"--average is 'users' or 'slates', not {average!r}.")
    judged = judge_all(runs, data, split, permute_users)
    if split == "test" and not permute_users:
        try:
            for run in judged:
                save_report(run)
        except OSError as error:
            print(f"persarank: the report is not saved: {error.filename}: {error.strerror}.", file=sys.stderr)
    result: dict[str, Any] = {"runs": [describe(j, average) for j in judged]}
    differences = [compare(j, judged[0]) for j in judged[1:]]
    result["differences"] = [d for d in differences if d is not None]
    show("evaluation", result, as_json)


@commands.command("list")
def list_tables(as_json: Json = False) -> None:
    """List algorithms, rankers, losses and the hyper-parameters that --set takes."""
    from app.reports.tables import table_of_everything

    show("tables", table_of_everything(), as_json)


@commands.command()
def reproduce(
    experiment: Annotated[
        Experiment,
        typer.Argument(
            help="persa-fl: all algorithms with a server; pars-push: the network without one; "
            "memrl: navigation, and rankings learned from what they are paid."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="A directory; what is finished there is kept.")],
    quick: Annotated[bool, typer.Option("--quick", help="A small version, to see that it works.")] = False,
    shell: Annotated[
        Path | None, typer.Option(help="The CSV log of shell commands, as second data (persa-fl).")
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="The .npz file of RASGP's points; else some are drawn (pars-push)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a whole experiment; stopped and called again, it goes on."""
    from app.experiments import grid, memrl, pars_push

    for option, given, owner in (
        ("shell", shell, Experiment.persa_fl),
        ("points", points, Experiment.pars_push),
    ):
        if given is not None and experiment != owner:
            raise click.UsageError(f"--{option} belongs to {owner.value}.")
    try:
        if experiment == Experiment.persa_fl:
            result = grid.reproduce(out, grid.QUICK if quick else grid.Scale(), shell, warn)
            table = grid.markdown(result)
        elif experiment == Experiment.pars_push:
            result = pars_push.reproduce(out, pars_push.QUICK if quick else pars_push.Scale(), points, warn)
            table = pars_push.markdown(result)
        else:
            result = memrl.reproduce(out, memrl.QUICK if quick else memrl.Scale(), warn)
            table = memrl.markdown(result)
    except KeyboardInterrupt:
        warn("stopped; what is finished is kept, and the same command goes on.")
        sys.exit(INTERRUPTED)
    print(json.dumps(result, allow_nan=False) if as_json else table, flush=True)


@commands.command()
def demo(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="[default: 8501 or a free one]")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Train, but do not serve.")] = False,
) -> None:
    """Prepare the demo once, then serve it on this machine only."""
    from app.suggestions.demo import home, ready, serve

    if not ready(home()):
        from app.suggestions.preparation import prepare

        prepare(home())
    if not prepare_only:
        serve(home(), port, headless)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every known failure is one sentence on stderr and a documented exit code."""
    try:
        code = commands(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        code = SIGNALLED
    except Exception as error:
        if os.environ.get("PERSARANK_DEBUG"):
            raise
        known = _exit_code(error)
        if isinstance(error, OSError) and error.strerror:
            error = RuntimeError(f"{error.filename or 'a file'}: {error.strerror}.")
        elif known is None:
            error = RuntimeError(f"unexpected {type(error).__name__}: {error}; run with --debug for details.")
        print(f"persarank: {error}", file=sys.stderr)
        sys.exit(USAGE if known is None else known)
    if code == SIGNALLED:
        print("persarank: interrupted before there was anything to save.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(code or OK)


def _exit_code(error: Exception) -> int | None:
    """The documented code of a known failure. Imported late, so that `demo` starts without the models."""
    from app.experiments.children import ChildError
    from app.runs.directory import RunError
    from app.runs.settings import ConfigError
    from app.runs.training import UnfinishedError
    from data.schema import DataError
    from ranking.rankers.trees import ModelError

    codes: dict[type[Exception], int] = {
        UnfinishedError: INTERRUPTED,
        ChildError: BAD_RUN,
        DataError: BAD_DATA,
        ConfigError: BAD_CONFIG,
        FloatingPointError: BAD_CONFIG,
        MemoryError: BAD_CONFIG,
        RunError: BAD_RUN,
        ModelError: BAD_MODEL,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), None)
