"""The command `persarank serve`: suggestions of runs over HTTP, for a product."""

import ipaddress
import math
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands.options import Moved, Runs, SharedBy
from app.commands.paths import path

LOCAL = ("localhost", "127.0.0.1", "::1")
PORT, STORE, SHORTEST_TOKEN = 8650, "persarank-store", 16


def serve(
    runs: Runs,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            parser=path,
            metavar="DIR",
            help="Where what users do is kept; made if it is not there. [default: persarank-store]",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; elsewhere than on this machine a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0: any free one, which is printed.")
    ] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            parser=path,
            metavar="FILE",
            help="A file with a token, which every request must then bear.",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0.1, max=1e6, help="Requests a second of one user.")
    ] = 50.0,
    shared_by: SharedBy = 2,
    data: Moved = None,
) -> None:
    """Answer a product over HTTP: suggest, observe, adapt and forget, as /docs of the service says.

    Of several runs the first answers, unless a request names another. A run may be a link: when it is turned
    to another run, that one is served from then on. Ctrl-C or SIGTERM ends the service once requests under
    way are answered.
    """
    from app.service.limits import Limits
    from app.service.server import AddressError
    from app.service.server import serve as serve_run

    host = host.strip("[]")
    token = None if token_file is None else _token(token_file)
    if token is None and not _is_loopback(host):
        raise click.UsageError(f"--host {host} can be reached from elsewhere: give a --token-file.")
    if len({run.absolute().name for run in runs}) < len(runs):
        raise click.UsageError("two runs have the same name: make a link with another name to one of them.")
    if not math.isfinite(rate):
        raise click.UsageError("--rate is a number of requests a second.")
    names = None if token else frozenset((*LOCAL, host.lower()))
    limits = Limits(token, names, rate=rate, burst=2 * rate)
    try:
        place = (store or Path(STORE)).absolute()
        serve_run(runs, place, limits, host, port, partial(_told, place), data, shared_by)
    except AddressError as error:
        raise click.UsageError(str(error)) from error


def _told(store: Path, address: str) -> None:
    told = f"Serving at {address} (what can be asked: {address}/docs). What users do is kept in {store}."
    print(told, file=sys.stderr, flush=True)


def _token(file: Path) -> str:
    try:
        token = file.read_text("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--token-file {file} cannot be read.") from error
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(
            f"--token-file {file}: a token is {SHORTEST_TOKEN} or more ASCII characters without spaces, "
            "e.g. from: openssl rand -hex 32"
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
