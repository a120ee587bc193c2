"""Long work that a page starts: a process of its own that runs the command line, and a record of it on disk.

A job lies in ``<folder>/.persarank-jobs/NAME/``::

    job.json        its command, what it makes, its process and when it was started
    out, err        what the command says; ``err`` is locked for as long as the process lives
    progress.json   its phases, see `app.runs.progress_file`
    asked           if somebody has asked it to stop
    code            its exit code, which a process that was killed leaves out

So a reload of the page, another tab and a server that is started anew find it again. The lock, and not the
number of the process, says whether it is at work: numbers are used again. When the server ends, in whatever
way, jobs hear that as a wish to stop: trainings are saved, and nothing is left running.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import app
from app.runs.directory import CONFIG
from app.runs.progress_file import VARIABLE, Phase, read_phases
from app.runs.records import Record
from app.runs.shell import command
from app.web.outcome import is_finished, last_sentence
from data.files import PARTIAL, write_bytes
from data.folders import remove

FOLDER = ".persarank-jobs"
RECORD, OUT, ERR, PROGRESS, CODE = "job.json", "out", "err", "progress.json", "code"
ASKED = "asked"
"""A file in the record of a job that has been asked to stop."""

MOST = 4
"""Jobs at work at once."""

LONGEST = 20_000
"""Characters of what a command says that a page shows, at most."""

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"
OK, INTERRUPTED = 0, 1

CALL = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import app
del sys.path[0]
code = sys.argv.pop(1)
from app.runs.child import obey_parent
obey_parent()
from app.commands.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    with open(code, "w") as file:
        file.write(str(ended.code or 0))
    raise
"""
"""What a job does. Its `app` is the server's, and the working directory is not on its path (-P)."""


class JobError(Exception):
    """A job cannot be started; the message is a sentence that says why."""


class Kept(Record):
    """What the record of a job holds."""

    words: list[str]
    place: str
    started: float
    pid: int


@dataclass(frozen=True)
class Job:
    """A job as it is at present.

    Attributes:
        name: of its record.
        words: arguments of `persarank`; none if the record is damaged.
        place: the directory that it makes or goes on with.
        started: in seconds since 1970.
        state: RUNNING, FINISHED, STOPPED (by somebody's wish, or killed) or FAILED.
        asked: whether somebody has asked it to stop.
        said: the last sentence on its stderr, without the program's name; nothing if all went well.
        printed: what it printed, for people.
        phases: how far it is.
    """

    name: str
    words: tuple[str, ...]
    place: Path
    started: float
    state: str
    asked: bool
    said: str
    printed: str
    phases: list[Phase]

    @property
    def kind(self) -> str:
        """The first word that is a command: "train", "resume", "data"."""
        return self.words[0] if self.words else ""

    @property
    def command(self) -> str:
        """As somebody would type it."""
        return command(*self.words)

    @property
    def resumable(self) -> bool:
        """Whether a training was begun there that can go on."""
        training = self.state != RUNNING and self.kind in ("train", "resume")
        return training and (self.place / CONFIG).is_file() and not is_finished(self.place)


def start(folder: Path, words: Sequence[str], place: Path) -> str:
    """Start a command in the background; returns the name of its record.

    Args:
        folder: of the app; the command's working directory.
        words: arguments of `persarank`.
        place: what it makes or goes on with.

    Raises:
        JobError: too many are at work, or one works at that place already, or it cannot be started.
    """
    working = [job for job in jobs(folder) if job.state == RUNNING]
    if any(job.place == place for job in working):
        raise JobError(f"{place.name} is being worked on already.")
    if len(working) >= MOST:
        raise JobError(f"{MOST} jobs are at work: wait for one of them, or stop it.")
    began = time.time()
    try:
        record = _new(folder / FOLDER, began)
        pid = _spawn(folder, words, record)
        kept = Kept(words=list(words), place=str(place), started=began, pid=pid)
        _write(record, kept)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise JobError(f"Nothing can be started in {folder}: {why}.") from error
    return record.name


def jobs(folder: Path) -> list[Job]:
    """All jobs of a folder, the latest first."""
    found = []
    with suppress(FileNotFoundError):
        for record in sorted((folder / FOLDER).iterdir(), reverse=True):
            with suppress(FileNotFoundError):  # somebody else has just removed it
                if (record / ERR).is_file():
                    found.append(_read(record))
    return found


def stop(folder: Path, name: str, at_once: bool = False) -> None:
    """Ask a job to save what it has and end; ``at_once``: end it as it is, with its last checkpoint.

    A job that has ended, or that does not exist, is left alone.
    """
    record = _record(folder, name)
    if record is None or not _at_work(record):
        return
    kept = _kept(record)
    if kept is not None:
        (record / ASKED).touch()
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(kept.pid, signal.SIGKILL if at_once else signal.SIGTERM)


def forget(folder: Path, name: str) -> None:
    """Remove the record of a job that has ended; what it has made stays."""
    record = _record(folder, name)
    if record is not None and not _at_work(record):
        _remove(record)


def _new(where: Path, now: float) -> Path:
    """A new record; names sort by time."""
    where.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        record = where / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{number:03d}"
        try:
            record.mkdir()
        except FileExistsError:
            continue
        return record
    raise JobError("Too many are started at once: try it again.")


def _write(record: Path, kept: Kept) -> None:
    """Write a record down; without it nobody could find the job, which then ends."""
    try:
        write_bytes(record / RECORD, kept.model_dump_json().encode())
    except OSError:
        os.kill(kept.pid, signal.SIGKILL)
        _remove(record)
        raise


def _spawn(folder: Path, words: Sequence[str], record: Path) -> int:
    """Start the process, which holds the lock of its ``err`` from the beginning; returns its number."""
    end, held = os.pipe()
    try:
        with (record / OUT).open("wb") as out, (record / ERR).open("wb") as err:
            fcntl.flock(err, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", CALL, app.ROOT, str(record / CODE), *words],
                cwd=folder,
                env=os.environ | {VARIABLE: str(record / PROGRESS)},
                stdin=end,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
    except BaseException:
        os.close(held)
        _remove(record)
        raise
    finally:
        os.close(end)
    Thread(target=_accompany, args=(process, held), daemon=True).start()
    return process.pid


def _accompany(process: "subprocess.Popen[bytes]", held: int) -> None:
    """Hold the end of the pipe by which the job knows that its server lives, until the job has ended."""
    process.wait()
    os.close(held)


def _record(folder: Path, name: str) -> Path | None:
    """The record of this name, which is looked up and not made a path of."""
    try:
        return next(place for place in (folder / FOLDER).iterdir() if place.name == name)
    except (OSError, StopIteration):
        return None


def _remove(record: Path) -> None:
    """Remove the files that a record is made of, and nothing else, whatever folder this may be."""
    files = (RECORD, OUT, ERR, PROGRESS, CODE, ASKED)
    remove(record, [*files, *(name + PARTIAL for name in files)])
    with suppress(OSError):
        record.rmdir()


def _at_work(record: Path) -> bool:
    """Whether the process lives: whoever holds the lock does."""
    try:
        with (record / ERR).open("rb") as err:
            fcntl.flock(err, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _kept(record: Path) -> Kept | None:
    try:
        return Kept.model_validate_json((record / RECORD).read_bytes(), strict=True)
    except (OSError, ValueError):
        return None


def _read(record: Path) -> Job:
    """A job as it is at present; whether it is at work is looked at before its last words are."""
    at_work, kept = _at_work(record), _kept(record)
    words = kept.words if kept else []
    place = Path(kept.place) if kept else record
    state, said = (RUNNING if at_work else _end(record, place)), last_sentence(_text(record / ERR))
    if kept is None and not at_work:
        state, said = FAILED, "its record is damaged."
    elif state == FINISHED and _text(record / CODE) == str(OK):
        said = ""
    elif state == STOPPED and not said:
        said = "it was ended from outside; what it had saved until then is kept."
    return Job(
        name=record.name,
        words=tuple(words),
        place=place,
        started=kept.started if kept else record.stat().st_mtime,
        state=state,
        asked=(record / ASKED).exists(),
        said=said,
        printed=_text(record / OUT),
        phases=read_phases(record / PROGRESS),
    )


def _end(record: Path, place: Path) -> str:
    """How a job has ended."""
    code = _text(record / CODE)
    if code == str(OK) or is_finished(place):
        return FINISHED
    if code and code != str(INTERRUPTED):
        return FAILED
    return STOPPED


def _text(file: Path) -> str:
    """The end of a text file, nothing if it is not there."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(file.stat().st_size - LONGEST, 0))
            return stream.read().decode(errors="replace").strip()
    except OSError:
        return ""
