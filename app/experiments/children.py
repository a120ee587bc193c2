"""Runs the command line in child processes, as many at once as there are processors."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import app
from app.runs.shell import command as shell

Command = Sequence[str]

CALL = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import app
del sys.path[0]
from app.runs.child import obey_parent
obey_parent()
from app.commands.main import main
main(sys.argv[1:])
"""
"""What a child does: its `app` is its parent's, and the working directory is not on its path (-P)."""

PATIENCE = 60.0
"""Seconds that children have to save what they do."""

LOOK = 0.5
"""Seconds after which a signal is heard at the latest."""


class ChildError(Exception):
    """A child ended with an error; the message is its command and its last words."""

    def __init__(self, command: str, words: str, code: int) -> None:
        self.words, self.code = words.removeprefix("persarank: "), code
        super().__init__(f"{command}: {words}")


def run_all(
    commands: Sequence[Command],
    tell: Callable[[str], None],
    *,
    forgiven: Collection[int] = (),
    look: Callable[[], None] | None = None,
) -> dict[int, ChildError]:
    """Run every command; the first that fails ends the whole, and what is finished stays.

    However this ends, no child is left: those at work are asked to save it, and waited for.

    Args:
        commands: arguments of `persarank`.
        tell: is told of each command when it has ended, and if children are asked to stop.
        forgiven: exit codes of failures that do not end the whole.
        look: is called instead when a command has ended, and every LOOK seconds.

    Returns:
        The failures that were forgiven, by the command's number.

    Raises:
        ChildError: a command failed.
    """
    failed: dict[int, ChildError] = {}
    pool = ThreadPoolExecutor(os.cpu_count())
    children = _Children()
    try:
        numbers = {pool.submit(children.run, command): number for number, command in enumerate(commands)}
        running = set(numbers)
        while running:
            # A signal that comes just before a lock is waited for is noticed only afterwards.
            ended, running = wait(running, LOOK, FIRST_COMPLETED)
            for one in ended:
                error = one.exception()
                if isinstance(error, ChildError) and error.code in forgiven:
                    failed[numbers[one]] = error
                elif look is None or error:
                    tell(" ".join(one.result()))
            if look is not None:
                look()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children.stop(tell)
        raise
    finally:
        pool.shutdown()
        children.close()
    return failed


class _Children:
    """Children that share the end of one pipe, see `app.runs.child`."""

    def __init__(self) -> None:
        end, held = os.pipe()
        self._end, self._held = os.fdopen(end, "rb"), os.fdopen(held, "wb")
        self._processes: list[subprocess.Popen[str]] = []

    def run(self, command: Command) -> Command:
        """Run one to its end. One that begins after the others were asked to stop ends at once."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", CALL, app.ROOT, *command],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=self._end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        _, words = process.communicate()
        if process.returncode:
            said = words.strip() or _end(process.returncode)
            raise ChildError(shell(*command), said, process.returncode)
        return command

    def stop(self, tell: Callable[[str], None]) -> None:
        """Ask all to save and end, and wait; kill whoever is late, or all if this is interrupted."""
        self._held.close()
        try:
            if self._at_work():
                tell("stopping; what is being trained is saved first.")
            end = time.monotonic() + PATIENCE
            while self._at_work() and time.monotonic() < end:
                time.sleep(0.05)
            if late := self._at_work():
                tell(f"after {PATIENCE:.0f} seconds {late} had not ended, and were killed.")
        finally:
            for process in self._processes:
                process.kill()

    def _at_work(self) -> int:
        """How many have not ended."""
        return sum(process.returncode is None for process in self._processes)

    def close(self) -> None:
        """Let go of the pipe."""
        self._held.close()
        self._end.close()


def _end(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}." if code < 0 else f"ended with exit code {code}."
