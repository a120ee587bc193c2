"""A training that another process asks a ServerApp for: what it is to do, how far it is, and how it ended.

The two processes share a folder on the machine of the SuperLink::

    job.json       what is to be done
    events.jsonl   a line for everything that happens, and one for the end
    stop, now      once this file is there, training ends as by a signal, or by a second one
"""

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from app.runs.directory import open_started
from app.runs.flower.learning import OnFlower
from app.runs.given import read_toml
from app.runs.phases import Phases
from app.runs.settings import resolve
from app.runs.signals import Interrupt, give_back, take
from app.runs.training import resume_run, train_run
from data.files import what_is_wrong, write_bytes
from data.public_counts import Bounds
from data.storage import read_manifest
from federated.engines.messages import Post
from federated.events import Evaluated, Event, Merged

JOB, EVENTS, SETTINGS = "job.json", "events.jsonl", "settings.toml"
STOP, NOW = "stop", "now"
LOOK = 0.2
"""Seconds between two looks for the wish to stop."""


@dataclass(frozen=True)
class Elsewhere:
    """Data that this process does not read."""

    fingerprint: str


@dataclass(frozen=True)
class Job:
    """What a ServerApp is asked to do.

    Attributes:
        data: the dataset that the run's directory names.
        out: the run's directory.
        resume: whether the run goes on; else it begins.
        nodes: that must be there first.
        until: see `train_run`.
        overrides: see `resume_run`.
    """

    data: str
    out: str
    resume: bool
    nodes: int
    until: int | None
    overrides: Mapping[str, Any]

    def write(self, folder: Path, settings: str) -> None:
        """Into the folder of the job, with the settings of a run that begins."""
        write_bytes(folder / SETTINGS, settings.encode())
        write_bytes(folder / JOB, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """What `write` wrote."""
        return cls(**json.loads((folder / JOB).read_text()))


class Telling:
    """Writes down what happens, for whoever waits for it."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / EVENTS).open("a", buffering=1)
        self.say("pid", os.getpid())

    def say(self, what: str, told: Any) -> None:
        """One line."""
        self._file.write(json.dumps([what, told]) + "\n")

    def see(self, event: Event) -> None:
        """An event of the training."""
        if isinstance(event, Merged | Evaluated):
            self.say(type(event).__name__, asdict(event))

    def phase(self, name: str, done: int, total: int) -> None:
        """A `data.progress.Tell`."""
        self.say("phase", [name, done, total])

    def warn(self, sentence: str) -> None:
        """A sentence for people."""
        self.say("warn", sentence)


def serve(post: Post, config: Mapping[str, Any]) -> None:
    """Do the job that a run of the Flower app names; what a ServerApp does."""
    folder = Path(str(config["job"]))
    before = take(Interrupt())  # until a training hears them itself
    telling = Telling(folder)
    Thread(target=_obey, args=(folder,), daemon=True).start()
    try:
        telling.say("summary", _done(Job.read(folder), folder, post, telling))
    except (Exception, KeyboardInterrupt) as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        message = what_is_wrong(error) or "interrupted before there was anything to save."
        summary = getattr(error, "summary", None)
        telling.say("error", {"kinds": kinds, "message": message, "summary": summary})
    finally:
        give_back(before)


def _done(job: Job, folder: Path, post: Post, telling: Telling) -> dict[str, Any]:
    """Train, and return the summary."""
    manifest = read_manifest(Path(job.data))
    data, phases = Elsewhere(manifest["fingerprint"]), Phases(telling.phase, telling.warn)
    learner = OnFlower(post, job.nodes, Bounds.of(manifest) or Bounds())
    if job.resume:
        started = open_started(Path(job.out))
        return resume_run(started, data, telling.see, telling.warn, phases, job.overrides, job.until, learner)
    settings = resolve(*read_toml(folder / SETTINGS), begun=True)
    out = Path(job.out)
    return train_run(settings, Path(job.data), data, out, telling.see, phases, job.until, learner)


def _obey(folder: Path) -> None:
    """Ask this process to stop once the file is there, and once more when there is the second."""
    for name in (STOP, NOW):
        while not (folder / name).exists():
            time.sleep(LOOK)
        os.kill(os.getpid(), signal.SIGTERM)
