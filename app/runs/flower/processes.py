"""Processes of this machine that outlive the command that starts them, and ports that they listen on."""

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

LOCAL = "127.0.0.1"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as tried:
        tried.bind((LOCAL, 0))
        return int(tried.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as tried:
        tried.settimeout(1)
        return tried.connect_ex((LOCAL, port)) == 0


def program(name: str) -> str:
    """A program of this Python's environment."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def began(process: int) -> float:
    """When a process began, in ticks since the machine did: with its number it is not another's."""
    try:
        return float(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return 0.0


def runs(process: int, began: float) -> bool:
    """Whether a process is still the one that was started, and no zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return stat[0] != "Z" and float(stat[19]) == began


def signal_group(process: int, number: signal.Signals) -> None:
    """Signal a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, number)
