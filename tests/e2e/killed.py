"""A process in whose forks `persarank` is run, killed at a chosen moment.

Reads lines from stdin, each a JSON list of jobs that are done one after the other, and answers each line
with one of [exit code, stderr] pairs. Only this process imports torch, which takes longer than what is
tested. A job holds

arguments   of `persarank`
kill        [place, file, nth]: at this place, with a file whose name matches, for the nth time,
signal      the process sends itself this signal, e.g. SIGKILL
ignored     these signals, as under nohup
again       [place, file, nth] at which it sends itself the same, or the signal ``second``, once more
limit       no file may become larger than so many bytes

and a place is one of

written     a line of metrics.jsonl has been written, perhaps not yet to the disk
half        of a new file only the first half is on the disk
whole       a new file is on the disk, but does not yet have its name
named       a new file has just got its name
removed     a file has just been removed
summed      the checksum of a table has just been taken
personal    some users' own models have been found; the file is how many
features    some slates have their features; the file is how many
"""

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import app.commands.line
import app.commands.main
import app.runs.evaluation
import app.runs.training
import data.storage
from app.runs.journal import Journal
from app.runs.stop import Patience
from federated.clients import PERSONAL
from federated.events import Event
from ranking.building import FEATURES
from ranking.compiled import warm_up


def arm(place: str, pattern: str, nth: int, number: int) -> None:
    """Let this process send itself a signal when it gets there."""
    left = nth

    def arrived(here: str, name: object) -> bool:
        nonlocal left
        met = here == place and fnmatch(Path(str(name)).name, pattern)
        left -= met
        return met and left == 0

    def die(here: str, name: object) -> None:
        if arrived(here, name):
            os.kill(os.getpid(), number)

    see, fsync, replace, unlink = Journal.see, os.fsync, os.replace, os.unlink

    def seeing(journal: Journal, event: Event) -> None:
        see(journal, event)
        die("written", "metrics.jsonl")

    def syncing(file: int) -> None:
        fsync(file)
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        if path.suffix == ".partial" and arrived("half", path.stem):
            os.ftruncate(file, os.fstat(file).st_size // 2)
            os.kill(os.getpid(), number)

    def replacing(partial: Any, path: Any, **more: Any) -> None:
        die("whole", path)
        replace(partial, path, **more)
        die("named", path)

    def removing(path: Any, **more: Any) -> None:
        unlink(path, **more)
        die("removed", path)

    tell, places = Patience.tell, {PERSONAL: "personal", FEATURES: "features"}

    def telling(patience: Patience, phase: str, part: int, total: int) -> None:
        if phase in places:
            die(places[phase], part)
        tell(patience, phase, part, total)

    summed = data.storage.sha256

    def summing(path: Path) -> str:
        die("summed", path)
        return summed(path)

    data.storage.sha256 = summing
    Patience.tell = telling  # type: ignore[method-assign]
    Journal.see = seeing  # type: ignore[method-assign]
    os.fsync, os.replace, os.unlink = syncing, replacing, removing  # type: ignore[assignment]


def done(job: dict[str, Any]) -> tuple[int, str]:
    """The job's exit code and what it said on stderr."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(0, 1)
            os.dup2(said.fileno(), 2)
            if "limit" in job:
                resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], job["limit"]))
            for number in job.get("ignored", ()):
                signal.signal(getattr(signal, number), signal.SIG_IGN)
            if "kill" in job:
                arm(*job["kill"], getattr(signal, job["signal"]))
            if "again" in job:
                arm(*job["again"], getattr(signal, job.get("second", job["signal"])))
            try:
                app.commands.main.main(job["arguments"])
            except SystemExit as ended:
                sys.stderr.flush()
                os._exit(int(ended.code or 0))  # tidying up a fork takes longer than the job
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(99)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, said.read().decode()


if __name__ == "__main__":
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # tests in the background inherit its being ignored
    warm_up()  # or every fork would load the compiled kernels for itself
    gc.collect()
    gc.freeze()  # a fork that looks through what it shares copies it
    for line in sys.stdin:
        print(json.dumps([done(job) for job in json.loads(line)]), flush=True)
