"""What `persarank flower` and `--engine` refuse, each in a sentence; the network itself is tested in e2e."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.commands.exits import BAD_CONFIG, BAD_DATA, BAD_RUN, INTERRUPTED, USAGE
from app.runs.flower.job import NOW, STOP, _obey, serve
from app.runs.flower.network import Network, NetworkError
from app.runs.flower.submitting import ServerError
from data.schema import DataError
from federated.patience import Interrupted
from tests.federated.engines.fakes import FakePost

pytest.importorskip("cryptography", reason="the engine flower is not installed")

Cli = Callable[..., Any]


class FleetError(DataError):
    """One that is of a known kind without being named so."""


def test_training_needs_a_network_that_is_up(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    options = ("train", "--data", tiny, "--out", tmp_path / "run", "--engine", "flower", "--network")
    absent = cli(*options, tmp_path / "none")
    assert absent.code == BAD_RUN
    assert "start one with persarank flower up" in absent.err
    Network(tmp_path, "127.0.0.1", 1, True, 2).save()
    ended = cli(*options, tmp_path)
    assert ended.code == BAD_RUN
    assert "is down" in ended.err
    assert not (tmp_path / "run").exists()
    assert cli("flower", "down", "--network", tmp_path).code == 0, "what is down can be ended"


DAMAGED = (
    "{",
    "[]",
    '{"processes": {}}',
    '{"directory": "/", "address": 5, "port": "x", "secure": 1, "nodes": "two", "processes": {}}',
)


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("words", [("down",), ("up", "--nodes", 2), ("register", "key.pub")])
def test_a_network_whose_file_is_damaged_is_told(
    words: tuple[object, ...], content: str, tmp_path: Path, cli: Cli
) -> None:
    (tmp_path / "network.json").write_text(content)
    told = cli("flower", *words, "--network", tmp_path)
    assert told.code == BAD_RUN
    assert told.err.strip() == f"persarank: {tmp_path / 'network.json'} is damaged."


@pytest.mark.parametrize(("engine", "package"), [("flower", "flwr"), ("ray", "ray")])
def test_without_its_package_an_engine_is_missed_in_a_sentence(
    engine: str, package: str, tiny: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federated.engines.find_spec", lambda name: None)
    algorithm = "pars-push" if engine == "ray" else "persa-fl-me"
    options = ("--data", tiny, "--out", tmp_path / "run", "--algorithm", algorithm)
    told = cli("train", *options, "--engine", engine)
    assert told.code == BAD_CONFIG
    assert told.err.strip() == (
        f"persarank: the engine {engine} needs the package {package}: pip install 'persarank[{engine}]'."
    )
    assert not (tmp_path / "run").exists()


REFUSED = {
    "an engine that is not known": (("--engine", "flour"), "did you mean 'flower'?"),
    "a schedule without a server on Flower": (
        ("--engine", "flower", "--algorithm", "pars-push"),
        "does not run the schedule gossip",
    ),
    "a server on Ray": (("--engine", "ray"), "does not run the schedule buffered"),
    "trees": (("--engine", "flower", "--ranker", "forest", "--algorithm", "local"), "the ranker forest"),
    "a dry run": (("--engine", "flower", "--dry-run"), "leave out --engine flower"),
    "a setting of another engine": (("--engine", "flower", "--set", "actors=3"), "unknown setting 'actors'"),
    "a setting of an engine without it": (("--set", "deadline=3"), "unknown setting 'deadline'"),
    "a deadline of nothing": (("--engine", "flower", "--set", "deadline=0"), "engine.deadline = 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_engine_cannot_do_is_said(name: str, tiny: Path, tmp_path: Path, cli: Cli) -> None:
    options, sentence = REFUSED[name]
    told = cli("train", "--data", tiny, "--out", tmp_path / "run", *options)
    assert told.code == BAD_CONFIG
    assert sentence in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_network_keeps_its_address(tmp_path: Path, cli: Cli) -> None:
    Network(tmp_path, "127.0.0.1", 1, True, 0).save()
    told = cli("flower", "up", "--nodes", 0, "--address", "example.org", "--network", tmp_path)
    assert told.code == BAD_CONFIG
    assert "is of 127.0.0.1, and so are its certificates" in told.err


def test_a_command_of_flower_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runs.flower.network.SOON", 0.01)
    with pytest.raises(NetworkError, match="flwr supernode list has not answered"):
        Network(tmp_path, "127.0.0.1", 1, True, 0).online()


def test_a_network_needs_data_that_says_what_may_become_public(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    place = ("--network", tmp_path / "net")
    assert cli("flower", "up", *place).code == USAGE
    central = cli("flower", "up", "--data", tiny, *place)
    assert central.code == BAD_DATA
    assert "--public-counts federated" in central.err
    assert not (tmp_path / "net").exists(), "nothing is left of it"
    nowhere = cli("flower", "up", "--data", tmp_path / "none", *place)
    assert nowhere.code == BAD_DATA


def test_a_key_is_registered_where_a_network_is_up(tmp_path: Path, cli: Cli) -> None:
    told = cli("flower", "register", tmp_path / "node.key.pub", "--network", tmp_path)
    assert told.code == BAD_RUN
    assert "there is no Flower network" in told.err


def test_flower_train_is_train_on_flower(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    """All options but the engine's are those of `train`."""
    options = ("--data", tiny, "--out", tmp_path / "run", "--network", tmp_path / "none")
    assert "there is no Flower network" in cli("flower", "train", *options).err
    assert cli("flower", "train", *options, "--engine", "ray").code == USAGE
    helped = cli("flower", "train", "--help").out
    assert "--algorithm" in helped
    assert "--engine" not in helped.replace("train --engine flower", "")


def test_secrets_are_their_owners_alone_and_certificates_name_the_server(tmp_path: Path) -> None:
    from cryptography import x509

    from app.runs.flower.certificates import make_certificates, make_key

    make_certificates(tmp_path, "server.example.org")
    public = make_key(tmp_path / "keys" / "node.key")
    for secret in (tmp_path / "server.key", public.with_suffix(".key")):
        assert secret.stat().st_mode & 0o077 == 0
    assert public.read_text().startswith("ecdsa-sha2-nistp384 ")
    certificate = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "server.example.org"}
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert not list(tmp_path.glob("ca.key")), "nobody can make further ones"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("no data"), BAD_DATA),
        (FleetError("no fleet"), BAD_DATA),
        (FloatingPointError("lost"), BAD_CONFIG),
        (Interrupted(), INTERRUPTED),
        (OSError(28, "No space left on device", "file"), USAGE),
        (ZeroDivisionError("odd"), USAGE),
    ],
)
def test_an_error_of_the_server_has_the_code_that_it_has_here(
    error: BaseException, code: int, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the server's process, which tells it, to the command that passes it on."""

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr("app.runs.flower.job.Job.read", failing)
    serve(FakePost({}), {"job": str(tmp_path)})
    what, about = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert what == "error"
    monkeypatch.setattr("app.runs.flower.network.Network.require_up", lambda self: None)
    monkeypatch.setattr(
        "app.runs.flower.submitting.train_remotely",
        lambda *_: (_ for _ in ()).throw(ServerError(about["kinds"], about["message"], about["summary"])),
    )
    Network(tmp_path, "127.0.0.1", 1, True, 2).save()
    options = ("--data", tmp_path, "--out", tmp_path / "run", "--engine", "flower", "--network", tmp_path)
    told = cli("train", *options)
    assert told.code == code
    assert ("unexpected" in told.err) == isinstance(error, ZeroDivisionError)
    assert about["message"] in told.err


def test_the_wish_to_stop_is_passed_on_and_so_is_the_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr("app.runs.flower.job.os.kill", lambda process, number: heard.append(number))
    obeying = Thread(target=_obey, args=(tmp_path,), daemon=True)
    obeying.start()
    (tmp_path / STOP).write_bytes(b"")
    until(lambda: len(heard) == 1)
    (tmp_path / NOW).write_bytes(b"")
    obeying.join(timeout=20)
    assert heard == [signal.SIGTERM] * 2


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)
