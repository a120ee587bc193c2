"""The commands `persarank flower up`, `train`, `down` and `register`: a network of real messages."""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import Network
from app.commands.paths import path
from app.commands.printing import Json
from app.commands.telling import Telling
from app.commands.train import train

flower_commands = typer.Typer(
    no_args_is_help=True,
    help="Train over real messages: a Flower network of this machine, and perhaps of others.",
)


@flower_commands.command("up", cls=Telling)
def up(
    nodes: Annotated[
        int, typer.Option(min=0, metavar="N", help="SuperNodes of this machine; 0: all are elsewhere.")
    ] = 4,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=path,
            metavar="DIR",
            help="A dataset, made with --public-counts federated: its users are dealt out to the nodes.",
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(metavar="NAME", help="By which nodes on other machines reach this one; else none do."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Of the SuperLink. [default: any that is free]")
    ] = 0,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Without TLS and node keys: for tests on this machine only.")
    ] = False,
    network: Network = None,
    as_json: Json = False,
) -> None:
    """Start a SuperLink and SuperNodes, new or as they were left, and return when they are there."""
    import click

    from app.runs.flower.network import USUAL
    from app.runs.flower.starting import up as start

    if nodes and data is None and not ((network or Path(USUAL)) / "network.json").exists():
        raise click.UsageError("--data DIR is needed: what would the nodes learn from?")
    found = start(network or Path(USUAL), data, nodes, address, port, not insecure)
    result = {"network": str(found.directory), "port": found.port, "nodes": found.nodes}
    _say(as_json, result, f"Up at port {found.port}, with {found.nodes} nodes of this machine.")


@flower_commands.command("down", cls=Telling)
def down(network: Network = None, as_json: Json = False) -> None:
    """End the SuperLink and the SuperNodes of this machine; what they keep is kept."""
    from app.runs.flower.network import USUAL
    from app.runs.flower.network import Network as FlowerNetwork
    from app.runs.flower.starting import down as end

    found = FlowerNetwork.open(network or Path(USUAL))
    ended = end(found)
    told = f"Ended: {', '.join(ended)}." if ended else "Nothing was running."
    _say(as_json, {"network": str(found.directory), "ended": ended}, told)


@flower_commands.command("register", cls=Telling)
def register(
    key: Annotated[Path, typer.Argument(parser=path, help="A node's public key, an OpenSSH file.")],
    network: Network = None,
    as_json: Json = False,
) -> None:
    """Let a node on another machine take part."""
    from app.runs.flower.network import USUAL
    from app.runs.flower.network import Network as FlowerNetwork

    found = FlowerNetwork.open(network or Path(USUAL))
    found.require_up()
    found.register(key)
    _say(as_json, {"network": str(found.directory), "registered": str(key)}, "It can take part.")


def _train_on_flower(**given: Any) -> None:
    train(**given, engine="flower")


_parameters = [one for name, one in inspect.signature(train).parameters.items() if name != "engine"]
vars(_train_on_flower)["__signature__"] = inspect.Signature(_parameters)
_train_on_flower.__annotations__ = {one.name: one.annotation for one in _parameters}
_train_on_flower.__doc__ = "Train a ranker on the network; the same as `persarank train --engine flower`."
flower_commands.command("train", cls=Telling)(_train_on_flower)


def _say(as_json: bool, result: dict[str, Any], told: str) -> None:
    """Print what was done, for programs or for people."""
    print(json.dumps(result) if as_json else told, flush=True)
