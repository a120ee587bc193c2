"""Runs the command line in child processes, as many at once as there are processors, one thread each."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.runs.shell import command as shell

CALL = "import sys; from app.commands.main import main; main(sys.argv[1:])"


class ChildError(Exception):
    """A child ended with an error; the message is its last words."""


def run_all(commands: Sequence[Sequence[str]], tell: Callable[[str], None]) -> None:
    """Run every command; the first that fails ends the whole, and what is finished stays.

    Args:
        commands: arguments of `persarank`.
        tell: is told of each command when it has ended.

    Raises:
        ChildError: a command failed.
    """
    children: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(command: Sequence[str]) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", CALL, *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        _, words = child.communicate()
        if child.returncode:
            raise ChildError(f"{shell(*command)}: {words.strip() or child.returncode}")
        tell(" ".join(command))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done in [pool.submit(run, command) for command in commands]:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()  # which makes a training save its state
            raise
