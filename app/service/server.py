"""Runs the service: on one address, until SIGTERM or Ctrl-C, and not before it can answer."""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn

from app.service.connection import Connection
from app.service.http import Answers, application
from app.service.limits import Limits
from app.service.serving import Serving
from app.service.store import opened

LOOK = 2.0
"""Seconds between two looks whether another run has taken the place."""

LONGEST_HEAD = 2**18
"""Bytes of a request before its body."""

GRACE = 15
"""Seconds that requests under way have when the service is to end."""


class AddressError(Exception):
    """The service cannot listen where it should."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one.

    Raises:
        AddressError: it cannot.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        why = error.strerror or error
        raise AddressError(f"{host}:{port}: {why}: choose another --host or --port.") from error
    return listener


def over_http(answers: Answers) -> uvicorn.Server:
    """What answers requests that reach a socket, once it is run."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config = uvicorn.Config(
        application(answers),
        log_config=None,
        access_log=False,
        lifespan="off",
        http=Connection,
        ws="none",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    return uvicorn.Server(config)


def serve(
    runs: Sequence[Path],
    store: Path,
    limits: Limits,
    host: str,
    port: int,
    tell: Callable[[str], None],
    data: Path | None = None,
    shared_by: int = 2,
) -> None:
    """Serve runs until a signal says to end; requests under way are answered first.

    Args:
        runs: run directories, or links to them.
        store: where what users do is kept.
        limits: who may ask, and how much.
        host: an address of this machine.
        port: 0: any free one.
        tell: is told the address, once requests are answered.
        data: the runs' dataset, if it has moved.
        shared_by: see `Serving`.

    Raises:
        AddressError: nobody can listen there.
        StoreError: another service holds the store, or it is none.
        RunError, DataError, ModelError: a run cannot be read.
        ValueError: two have the same name.
    """
    listener = listening(host, port)
    with listener, opened(store) as kept:
        serving, ended = Serving(runs, kept, data, shared_by), threading.Event()
        watcher = threading.Thread(target=serving.watch, args=(LOOK, ended), daemon=True)
        answers = Answers(serving, limits)
        watcher.start()
        name, number = listener.getsockname()[:2]
        tell(f"http://{f'[{name}]' if ':' in name else name}:{number}")
        with suppress(KeyboardInterrupt):
            over_http(answers).run(sockets=[listener])
        ended.set()
        answers.end()  # before another process may hold the store
        watcher.join()
