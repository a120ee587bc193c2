"""The commands `persarank train` and `persarank resume`, with a live progress bar."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands import completion
from app.commands.options import (
    LONG,
    SETTINGS,
    Algorithm,
    Attack,
    Compress,
    Config,
    Data,
    Defence,
    Engine,
    Loss,
    Moved,
    Network,
    Objective,
    Preset,
    Privacy,
    Ranker,
    Run,
    Schedule,
    Sets,
    Until,
)
from app.commands.pairs import uploads
from app.commands.printing import Json, Out, show, warn
from app.runs.signals import undisturbed

if TYPE_CHECKING:
    from app.runs.following import Watch
    from app.runs.phases import Phases
    from app.runs.settings import Settings
    from data import feature_sets

    Work = Callable[["Watch", "Phases"], dict[str, Any]]


def train(
    data: Data,
    out: Out,
    algorithm: Algorithm = None,
    objective: Objective = None,
    schedule: Schedule = None,
    ranker: Ranker = None,
    loss: Loss = None,
    updates: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Client updates that arrive. [default: the algorithm's]", rich_help_panel=LONG
        ),
    ] = None,
    until: Until = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Validations on the way; 0: none. [default: 20]", rich_help_panel=LONG
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The {keep} model: the one that training ended with, or that with the greatest NMRR on "
            "validation slates. [default: best]",
            autocompletion=completion.listed("keep"),
            rich_help_panel=LONG,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Updates between checkpoints. [default: a 16th of all, at least 500]",
            rich_help_panel=LONG,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Keys every random draw. [default: 0]", rich_help_panel=SETTINGS),
    ] = None,
    privacy: Privacy = None,
    attack: Attack = None,
    defence: Defence = None,
    compress: Compress = None,
    sets: Sets = None,
    config: Config = None,
    preset: Preset = None,
    engine: Engine = None,
    network: Network = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would be done, and estimates of time and memory; write nothing."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a ranker into a run directory."""
    from app.runs.given import require_read, settings_from
    from app.runs.training import train_run
    from federated.engines import require_engine

    given: dict[str, Any] = {
        "algorithm": algorithm,
        "objective": objective,
        "schedule": schedule,
        "ranker": ranker,
        "preset": preset,
    }
    given |= {"loss": loss, "updates": updates, "seed": seed, "evaluations": evaluations}
    given |= {"keep": keep, "checkpoint_every": checkpoint_every, "engine": engine}
    pairs = [*uploads({"privacy": privacy, "attack": attack, "defence": defence, "compression": compress})]
    settings = settings_from(config, given, [*pairs, *(sets or [])], data)
    require_read(settings, given | {"until": until})

    def begin(watch: "Watch", phases: "Phases") -> dict[str, Any]:
        return train_run(settings, data, _read(data, phases), out, watch, phases, until)

    require_engine(settings.engine_name)
    if dry_run:
        _forecast(settings, data, out, until, as_json)
    elif settings.engine_name == "flower":
        _train(settings, as_json, _remotely(network, settings, data, out, until))
    else:
        _train(settings, as_json, begin)


def _remotely(
    network: Path | None,
    settings: "Settings",
    data: Path,
    run: Path,
    until: int | None,
    overrides: dict[str, Any] | None = None,
) -> "Work":
    """A training that a Flower network does: it goes on where there are ``overrides``."""
    from app.runs.flower.network import USUAL
    from app.runs.flower.network import Network as FlowerNetwork
    from app.runs.flower.submitting import train_remotely

    there = FlowerNetwork.open(network or Path(USUAL))
    resume = overrides is not None

    def work(watch: "Watch", phases: "Phases") -> dict[str, Any]:
        return train_remotely(there, settings, data, run, watch, phases, until, resume, overrides)

    return work


def _forecast(settings: "Settings", data: Path, out: Path, until: int | None, as_json: bool) -> None:
    """Print what a training would do.

    Raises:
        ConfigError: on another engine than the simulator, of whose time and memory nothing is known.
    """
    from app.runs.checks import ConfigError

    if settings.engine_name != "simulate":
        raise ConfigError(f"a dry run tries the simulator: leave out --engine {settings.engine_name}.")
    from app.commands.progress import ProgressBars
    from app.reports.forecast import table
    from app.runs.forecast import forecast
    from app.runs.phases import Phases

    with ProgressBars(quiet=as_json) as bars:
        phases = Phases(bars.tell, warn)
        result = forecast(settings, data, _read(data, phases), out, phases, until)
    show(table, result, as_json)


def resume(
    run: Run,
    data: Moved = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a setting that only the users' own models depend on; may be given "
            "several times.",
            autocompletion=completion.own_settings,
        ),
    ] = None,
    until: Until = None,
    network: Network = None,
    as_json: Json = False,
) -> None:
    """Go on with a training that was interrupted or killed, from its last checkpoint."""
    from app.runs.directory import CHECKPOINTS, RunError, finished, locked, open_started
    from app.runs.given import parse_overrides, require_read
    from app.runs.training import resume_run
    from federated import checkpoint

    started = open_started(run)
    overrides = parse_overrides(sets or [])
    summary = finished(run)
    if summary is not None:
        if overrides:
            raise RunError(f"{run} is finished: its settings cannot be changed any more; train another run.")
        with suppress(OSError, RunError), locked(run):
            checkpoint.clear(run / CHECKPOINTS)  # a kill may have come before that
        warn(f"{run} is finished; nothing is left to do.")
        moved = {} if as_json else {"run": str(run)}
        _show(summary | moved, started.settings, as_json)
        return

    require_read(started.settings, {"until": until})

    def go_on(watch: "Watch", phases: "Phases") -> dict[str, Any]:
        return resume_run(started, _read(started.source(data), phases), watch, warn, phases, overrides, until)

    work: Work = go_on
    if started.settings.engine_name == "flower":
        work = _remotely(network, started.settings, started.source(data), run, until, overrides)
    _train(started.settings, as_json, work)


def _read(data: Path, phases: "Phases") -> "feature_sets.Data":
    """The first phase of a training."""
    from data.feature_sets import open_data
    from data.progress import READING

    phases.enter(READING)
    return open_data(data, tell=phases.tell)


def _train(settings: "Settings", as_json: bool, run: "Work") -> None:
    """Run a training with progress bars, and print its summary."""
    from app.commands.training_progress import TrainingBars
    from app.runs.flower.submitting import ServerError
    from app.runs.phases import Phases
    from app.runs.training import NotFiniteError, UnfinishedError

    with TrainingBars(settings.label, settings.updates, quiet=as_json) as bars:
        try:
            summary = run(bars.see, Phases(bars.tell, warn))
        except (UnfinishedError, NotFiniteError, ServerError) as stopped:
            if as_json and stopped.summary:
                print(json.dumps(stopped.summary), flush=True)
            raise
    _show(summary, settings, as_json)


def _show(summary: dict[str, Any], settings: "Settings", as_json: bool) -> None:
    """Print a summary, and the command that goes on where training was stopped.

    Raises:
        ModelError: the model is worth nothing, though it is trained to the end.
    """
    from app.reports import tables
    from app.runs.shell import command
    from app.runs.verdict import worthless
    from ranking.rankers.trees import ModelError

    with undisturbed():
        show(tables.summary, summary, as_json)
    if not summary.get("finished", True):
        further = command("resume", Path(summary["run"]))
        warn(f"stopped after {summary['updates']} updates. Go on with: {further}")
        return
    why = worthless(summary["warnings"])
    if why is not None:
        raise ModelError(f"{summary['run']}: {why}{settings.changes()}")
