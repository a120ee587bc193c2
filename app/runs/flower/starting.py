"""Starts a Flower network on this machine, new or as it was left, and ends it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.runs.checks import ConfigError
from app.runs.flower.home import KEY, write_secret
from app.runs.flower.network import NETWORK, SUPERLINK, Network, NetworkError
from app.runs.flower.processes import LOCAL, free_port, listens
from data.dealing import deal
from data.folders import FolderError, filling
from data.storage import read_manifest
from federated.engines import require_engine


def up(directory: Path, data: Path | None, nodes: int, address: str, port: int, secure: bool) -> Network:
    """Start a network, new or as it was left, and wait until it is there.

    Args:
        directory: its folder.
        data: the dataset that is dealt out to the nodes of this machine; may be None where there are none.
        nodes: on this machine.
        address: by which other machines reach the SuperLink; LOCAL: none do.
        port: of the SuperLink; 0: any that is free.
        secure: with TLS, and keys of nodes.

    Raises:
        NetworkError: it is up already, or does not start.
        ConfigError: a new one is asked for where another is.
        DataError: see `dealing.deal`.
    """
    require_engine("flower")
    with _alone(directory):
        network = _prepared(directory.resolve(), data, nodes, address, port, secure)
        try:
            network.start_superlink()
            names = [f"node-{number}" for number in range(network.nodes)]
            for name in names:
                public = network.directory / "keys" / f"{name}.pub"
                if secure and public.exists():
                    network.register(public)
                    public.rename(public.with_suffix(".registered"))
                network.start_node(name)
            network.wait_for_nodes()
        except BaseException:
            down(network)
            raise
    return network


def down(network: Network) -> list[str]:
    """End all processes of a network; the names of those that ran. Everything else is kept."""
    ran = network.running()
    for name in sorted(network.processes, key=lambda name: name == SUPERLINK):
        network.stop(name)
    return ran


def _prepared(
    directory: Path, data: Path | None, nodes: int, address: str, port: int, secure: bool
) -> Network:
    """What a network needs before it is started."""
    fingerprint = None if data is None else str(read_manifest(data)["fingerprint"])
    if (directory / NETWORK).exists():
        network = Network.open(directory)
        if network.running():
            raise NetworkError(f"the Flower network in {directory} is up: end it with persarank flower down.")
        if (fingerprint or network.dealt, nodes, secure) != (network.dealt, network.nodes, network.secure):
            raise ConfigError(
                f"{directory} holds a network of {network.nodes} nodes with other data or trust: choose "
                "another --network, or remove it."
            )
        if address not in (LOCAL, network.address):
            raise ConfigError(
                f"the network in {directory} is of {network.address}, and so are its certificates: choose "
                "another --network, or remove it."
            )
        network.port = port or (network.port if not listens(network.port) else free_port())
        network.processes = {}
    else:
        network = Network(directory, address, port or free_port(), secure, nodes, dealt=fingerprint)
        if data is not None and nodes:
            deal(data, nodes, directory / "data")
        secret = secrets.token_bytes(32)
        for number in range(nodes):
            write_secret(directory / "homes" / f"node-{number}" / KEY, secret)
        if secure:
            _make_trust(network)
    network.write_connection()
    network.save()
    return network


def _make_trust(network: Network) -> None:
    from app.runs.flower.certificates import make_certificates, make_key

    make_certificates(network.directory, network.address)
    for number in range(network.nodes):
        make_key(network.directory / "keys" / f"node-{number}.key")


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the folder of a network, made if it is not there."""
    try:
        with filling(directory, anew=False):
            yield
    except FolderError as error:
        raise NetworkError(f"{error}: choose another --network.") from error
