"""`make bench BENCH='--only data'`: what importing, checking and training on large logs costs.

Logs are made from a seed. Every command is a process of its own, whose CPU seconds and greatest resident
memory the operating system tells. With ``--against`` the same commands run on another commit as well.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from logs import write_distinct, write_log
from rich.console import Console
from rich.table import Table

from data.files import write_bytes

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("--user", "user", "--time", "timestamp", "--query", "query")
CALL = "import importlib, sys; importlib.import_module(sys.argv.pop(1)).main(sys.argv[1:])"
SAID = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclass(frozen=True)
class Size:
    """The logs' sizes."""

    many: int = 1_000_000
    some: int = 200_000
    distinct: int = 300_000
    most: int = 10_000_000
    updates: int = 400


TRIAL = Size(many=20_000, some=5_000, distinct=4_000, most=40_000, updates=40)


class CommandFailedError(Exception):
    """A command that is to be timed has failed."""


def run(tree: Path, arguments: Sequence[object]) -> Cost:
    """Run `persarank` of a source tree.

    Raises:
        CommandFailedError: it failed.
    """
    module = "app.commands.main" if (tree / "app" / "commands" / "main.py").is_file() else "app.cli"
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", CALL, module, *map(str, arguments)]
    before = os.times().elapsed
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        assert child.stderr is not None
        said = child.stderr.read().decode(errors="replace")
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise CommandFailedError(f"{' '.join(map(str, arguments[:2]))}: {said.strip().splitlines()[-1:]}")
    return Cost(used.ru_utime + used.ru_stime, os.times().elapsed - before, used.ru_maxrss / 1000)


class Measuring:
    """Times commands in a working directory, and keeps what they cost: command → tree → costs."""

    def __init__(self, work: Path, size: Size, trees: dict[str, Path]) -> None:
        self.work, self.size, self.trees = work, size, trees
        self.costs: dict[str, dict[str, list[Cost]]] = {}

    def turn(self, name: str) -> None:
        """Import, check and train once by one tree."""
        size = self.size
        for log, events in (("many", size.many), ("some", size.some)):
            self._import(name, log, f"import {events:,}")
        self._timed(name, f"check {size.many:,}", "data", "check", self._data(name, "many"))
        run = self._fresh(f"run-{name}")
        train = ("train", "--data", self._data(name, "some"), "--out", run, "--updates", size.updates)
        self._timed(name, f"train on {size.some:,}", *train)
        self._timed(name, f"evaluate on {size.some:,}", "evaluate", run)

    def extremes(self) -> None:
        """What only this tree is asked for."""
        self._import("here", "distinct", f"import a user of {self.size.distinct:,} distinct queries")
        self._import("here", "most", f"import {self.size.most:,}")

    def log(self, name: str) -> Path:
        """A log, made when it is first asked for."""
        path, size = self.work / f"{name}.csv", self.size
        if not path.is_file():
            SAID.print(f"making the log {name} …")
            if name == "distinct":
                write_distinct(path, size.distinct)
            else:
                users = {"many": size.many // 200, "some": size.some // 100, "most": size.most // 200}
                write_log(path, getattr(size, name), users[name])
        return path

    def _import(self, name: str, log: str, what: str) -> None:
        out = self._fresh(f"{log}-{name}")
        self._timed(name, what, "data", "import", self.log(log), "--out", out, *COLUMNS)

    def _data(self, name: str, log: str) -> Path:
        return self.work / f"{log}-{name}"

    def _fresh(self, name: str) -> Path:
        shutil.rmtree(self.work / name, ignore_errors=True)
        return self.work / name

    def _timed(self, name: str, what: str, *arguments: object) -> None:
        SAID.print(f"{what}: {name} …", markup=False)
        cost = run(self.trees[name], arguments)
        SAID.print(f"  {cost.cpu_s:.1f} s of CPU, {cost.wall_s:.1f} s, {cost.peak_mb:.0f} MB", markup=False)
        self.costs.setdefault(what, {}).setdefault(name, []).append(cost)


def bench(work: Path, out: Path, size: Size, against: str | None, repeats: int) -> int:
    """Measure, the trees taking turns, print a table, and write data.json; 1 where a command failed."""
    trees = {"here": ROOT}
    try:
        if against:
            trees["there"] = work / "there"
            _git("worktree", "add", "--detach", trees["there"], against)
        measuring = Measuring(work, size, trees)
        for _ in range(repeats):
            for name in trees:
                measuring.turn(name)
        measuring.extremes()
    except CommandFailedError as error:
        SAID.print(f"{error}.", style="red", markup=False)
        return 1
    finally:
        if (work / "there").is_dir():
            _git("worktree", "remove", "--force", work / "there")
    document = {
        what: {name: _summary(each) for name, each in by.items()} for what, by in measuring.costs.items()
    }
    write_bytes(out / "data.json", (json.dumps(document, indent=2) + "\n").encode())
    _show(document)
    return 0


def _git(*arguments: object) -> None:
    command = ["git", "-C", str(ROOT), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise CommandFailedError(f"git {arguments[0]}: {ended.stderr.strip().splitlines()[-1]}")


def _summary(costs: list[Cost]) -> dict[str, float]:
    return {key: round(median(getattr(c, key) for c in costs), 1) for key in ("cpu_s", "wall_s", "peak_mb")}


def _show(document: dict[str, Any]) -> None:
    table = Table(title="What large logs cost: CPU seconds, seconds, peak MB; there: the other commit")
    table.add_column("command")
    for heading in ("CPU", "wall", "peak", "CPU there", "peak there", "CPU there / here"):
        table.add_column(heading, justify="right")
    for what, by in document.items():
        here, there = by["here"], by.get("there")
        cells = [f"{here['cpu_s']:.1f}", f"{here['wall_s']:.1f}", f"{here['peak_mb']:,.0f}"]
        if there:
            ratio = there["cpu_s"] / max(here["cpu_s"], 0.1)
            cells += [f"{there['cpu_s']:.1f}", f"{there['peak_mb']:,.0f}", f"{ratio:.1f}"]
        table.add_row(what, *cells)
    Console(width=None if sys.stdout.isatty() else 130).print(table)
