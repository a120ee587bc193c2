"""`make bench`: PersaRank beside its peers on four workloads; a table and benchmark.json."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE), str(HERE.parents[1])]

import data_path
import environments
import report
import results
import runs
import scale
from rich.console import Console
from workload import make

from data.files import write_bytes

SAID = Console(stderr=True, highlight=False, soft_wrap=True)
PEERS = {"w-sync": ("flower", "pfl", "drjax"), "w-me": ("pfllib",)}
DATA = "data"
"""The workload that is not of the others' kind: large logs, run only when asked for."""

BUSY = 0.5


class Parser(argparse.ArgumentParser):
    """Bad arguments are answered by one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say it and end with status 2."""
        self.exit(2, f"{message[:1].upper()}{message[1:].rstrip('.')}.\n")


def options() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[*results.WORKLOADS, DATA], help="repeat it for several"
    )
    parser.add_argument("--repeats", type=int, help="of every engine (default: 5)")
    parser.add_argument("--quick", action="store_true", help="2 repeats, fewer rounds: a trial")
    parser.add_argument("--against", metavar="COMMIT", help="beside what an earlier commit took (data only)")
    parser.add_argument("--pfllib", type=Path, metavar="PATH", help="a checkout of PFLlib, to run its pFedMe")
    parser.add_argument("--out", type=Path, default=environments.ROOT, help="for results (default: .bench)")
    parser.add_argument("--envs", type=Path, default=environments.ROOT, help="of peers (default: .bench)")
    parser.add_argument("--json", action="store_true", help="print benchmark.json instead of a table")
    given = parser.parse_args()
    if given.repeats is not None and given.repeats < 1:
        parser.error(f"--repeats must be at least 1, not {given.repeats}")
    if DATA in (given.only or ()) and len(given.only) > 1:
        parser.error("--only data is by itself: it takes long")
    if given.against and given.only != [DATA]:
        parser.error("--against belongs to --only data")
    if given.pfllib and not (given.pfllib / "system" / "flcore").is_dir():
        parser.error(f"{given.pfllib} is no checkout of PFLlib: system/flcore is missing")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=given.out).cleanup()
    except OSError as error:
        parser.error(f"{given.out} cannot hold results: {error.strerror}")
    return given


class Bench:
    """One run of the benchmark.

    Attributes:
        document: benchmark.json, as far as it goes.
        wrong: sentences that make the run fail.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.plan = runs.QUICK if given.quick else runs.Plan()
        self.plan = replace(self.plan, repeats=given.repeats or self.plan.repeats)
        self.given = given
        self.file = given.out / "benchmark.json"
        self.document = _earlier(self.file) if given.only else {}
        self.document.setdefault("detail", {})
        self.document["machine"] = machine()
        self.wrong: list[str] = []
        self.left_out: dict[str, str] = {}

    def run(self, work: Path) -> None:
        """All workloads, with their data in ``work``; the file is written after each."""
        data = work / "problem.npz"
        make().save(data)
        for workload in self.given.only or results.WORKLOADS:
            self.left_out = {}
            try:
                self.measure(workload, self.engines(workload, data), work / "compiled")
            except (runs.EngineFailedError, OSError) as error:
                self.complain(f"{workload} has no result: {error}")
            for big in work.glob("*.bin"):
                big.unlink()

    def engines(self, workload: str, data: Path) -> dict[str, runs.Engine]:
        """The engines of a workload that can be run here, with their data made."""
        wanted = [peer for peer in PEERS.get(workload, ()) if peer != "pfllib" or self.given.pfllib]
        if wanted:
            SAID.print(f"{workload}: environments of {', '.join(wanted)} …")
        peers, self.left_out = environments.build_all(tuple(wanted), self.given.envs)
        for reason in self.left_out.values():
            SAID.print(f"  {reason}", style="red", markup=False)
        if workload == "w-sync":
            return runs.synchronous(peers, self.plan, data)
        if workload != "w-scale":
            pfllib = self.given.pfllib.resolve() if self.given.pfllib else None
            return runs.asynchronous(workload, peers, self.plan, data, pfllib)
        for users in self.plan.users:
            SAID.print(f"{workload}: writing the data of {users:,} users …")
            scale.write(runs.mapped(data, users), users)
        return runs.scaled(self.plan, data)

    def measure(self, workload: str, engines: dict[str, runs.Engine], cache: Path) -> None:
        """Run a workload's engines, judge, and write what came out."""
        peak = runs.peak_gflops()
        ran = self.repeat(workload, engines, cache)
        peak = max(peak, runs.peak_gflops())  # the machine may have been disturbed the first time
        for name in engines.keys() - ran.keys():
            if name == "persarank" or workload == "w-scale":
                raise runs.EngineFailedError(f"{name} failed: {self.left_out[name]}")
        if different := results.disagreements(ran):
            self.forget(workload)
            self.complain(f"{workload} is refused: {'; '.join(different)}")
            return
        summaries = {name: results.summarise(workload, each, peak) for name, each in ran.items()}
        self.keep(workload, summaries, peak)

    def repeat(
        self, workload: str, engines: dict[str, runs.Engine], cache: Path
    ) -> dict[str, list[results.Result]]:
        """All repeats of the engines that never failed; one that fails is left out from then on."""
        ran: dict[str, list[results.Result]] = {name: [] for name in engines}
        for number, name, engine in runs.in_turn(engines, self.plan.repeats):
            if name in self.left_out:
                continue
            what = f"{workload} {number + 1}/{self.plan.repeats} {name}"
            try:
                ran[name].append(runs.run(engine, cache, self.plan.timeout))
            except runs.EngineFailedError as error:
                self.left_out[name] = str(error)
                SAID.print(f"{what} is left out: {error}", style="red", markup=False)
            else:
                SAID.print(f"{what}: {results.rate(ran[name][-1]):,.0f} updates/s", markup=False)
        return {name: each for name, each in ran.items() if name not in self.left_out}

    def keep(self, workload: str, summaries: dict[str, results.Summary], peak: float) -> None:
        """Take a workload's figures into the file."""
        self.document[workload] = results.published(workload, summaries)
        self.document["detail"][workload] = {
            "engines": summaries,
            "ratios": results.ratios(summaries),
            "left_out": self.left_out,
            "peak_gflops": peak,
            "repeats": self.plan.repeats,
            "quick": self.given.quick,
            "load_before": self.document["machine"]["load"],
        }
        self.write()

    def forget(self, workload: str) -> None:
        """Take out what an earlier run has left of a workload."""
        self.document.pop(workload, None)
        self.document["detail"].pop(workload, None)
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        self.document["targets"] = results.targets(self.document)
        write_bytes(self.file, (json.dumps(self.document, indent=2) + "\n").encode())

    def complain(self, sentence: str) -> None:
        """Say what makes the run fail."""
        self.wrong.append(sentence)
        SAID.print(f"{sentence}.", style="red", markup=False)


def _earlier(file: Path) -> dict[str, Any]:
    """What an earlier run has found, for `--only` to add to."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("detail"), dict) else {}


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "cores": os.cpu_count(),
        "threads": runs.THREADS,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "load": os.getloadavg()[0],
    }


def main() -> int:
    """Run the benchmark; 1 where a result is refused or missing, 130 where it was interrupted."""
    given = options()
    if given.only == [DATA]:
        with tempfile.TemporaryDirectory(dir=given.out.resolve(), prefix="work-") as work:
            size = data_path.TRIAL if given.quick else data_path.Size()
            return data_path.bench(Path(work), given.out, size, given.against, given.repeats or 1)
    bench = Bench(given)
    if bench.document["machine"]["load"] > BUSY:
        SAID.print("This machine is busy with something else: do not trust the figures.", style="yellow")
    interrupted = False
    try:
        with tempfile.TemporaryDirectory(dir=given.out.resolve(), prefix="work-") as work:
            bench.run(Path(work))
    except KeyboardInterrupt:
        interrupted = True
        SAID.print("Interrupted: what follows is what was finished.", style="yellow")
    if "targets" in bench.document:
        if given.json:
            print(json.dumps(bench.document, indent=2))
        else:
            report.show(bench.document, Console(width=None if sys.stdout.isatty() else 110))
        SAID.print(f"Written: {bench.file}", markup=False)
    for sentence in bench.wrong:
        SAID.print(f"{sentence}.", style="red", markup=False)
    return 130 if interrupted else 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
