"""Ray itself: one on this machine that begins and ends with a training, or a cluster that is there."""

import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import ray

from federated.engines import MissingEngineError

OBJECTS = 200 * 2**20
"""Bytes of memory, at most, for what is sent on one machine."""

HERE = "127.0.0.1"

PATIENCE = 10.0
"""Seconds in which a cluster has to answer."""


class ClusterError(MissingEngineError):
    """Nobody answers at the address of a cluster."""


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Be connected to Ray.

    Args:
        address: of a cluster that stays when this ends; empty: one is started, which ends with this.

    Raises:
        ClusterError: there is no cluster, or it has another version of Ray or Python.
    """
    place = None if address else Path(tempfile.mkdtemp(prefix="ray-", dir=_short()))
    try:
        with warnings.catch_warnings(), _signals_kept():
            warnings.simplefilter("ignore")  # what it leaves open is not ours
            _connect(address, place)
            _keep_quiet()
        yield
    finally:
        with _signals_kept():
            ray.shutdown()
        if place:
            shutil.rmtree(place, ignore_errors=True)


def _connect(address: str, place: Path | None) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    if place:
        ray.init(
            address="local",  # whatever the environment says
            num_cpus=0,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=OBJECTS,
            _temp_dir=str(place),
            _node_ip_address=HERE,
            **quiet,
        )
        return
    try:
        _require_anybody(address)
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"no Ray cluster can be reached at {address}: {error}") from error


def _require_anybody(address: str) -> None:
    """Raise OSError soon if nobody listens there, for which Ray itself would wait a minute."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE):
            pass


def _keep_quiet() -> None:
    """Have it print nothing: standard output is for whoever started the training, who is told of restarts.

    Nothing public switches off that of dead workers.
    """
    worker: Any = import_module("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, ignore_prefix: None


def _short() -> str:
    """A folder for temporary files with a short name: those of sockets end after 107 bytes."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= len("/var/folders") else "/tmp"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; here it is somebody else's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
