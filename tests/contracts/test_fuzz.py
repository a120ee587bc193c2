"""Any value for any setting of any algorithm: a model better than chance, or one sentence and its exit code.

`make test` trains with some of the values that settings accept, another choice for each algorithm;
``PERSARANK_FUZZ=all`` with all of them (an hour).
"""

import json
import math
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from app.commands.exits import BAD_CONFIG, BAD_DATA, BAD_MODEL, OK
from app.runs.checks import ConfigError
from app.runs.given import parse_overrides
from app.runs.settings import resolve
from data.simulator import simulate
from data.storage import write
from federated.algorithms import ALGORITHMS

Cli = Callable[..., Any]
VALUES = (
    *("true", "false", "word", "''", "[]", "[1, 2]", "{a = 1}", "2026-01-01"),
    *("nan", "inf", "-inf", "-1", "-0.5", "-1e300", "0", "0.0"),
    *("1e300", "1e30", "1e6", "1000000000000", "200", "1e-300", "1e-9", "1", "0.5"),
)
TRIED = math.inf if os.environ.get("PERSARANK_FUZZ") == "all" else 3
SECONDS = 300
"""A training may last, on a machine that others use too."""
rows = pytest.mark.parametrize("algorithm", ALGORITHMS)


def keys(algorithm: str) -> list[str]:
    parts = resolve({"algorithm": algorithm}, {}).parts()
    return [f"{section}.{field.name}" for section, part in parts.items() for field in fields(part)]


def accepted(algorithm: str) -> Iterator[str]:
    """Pairs that are no bad settings; of all others it is known here that they are told so."""
    for key in keys(algorithm):
        for value in VALUES:
            pair = f"{key}={value}"
            try:
                resolve({"algorithm": algorithm}, parse_overrides([pair]))
            except ConfigError as error:
                told = str(error)
                assert key.rpartition(".")[2] in told, f"{pair}: {told}"
                assert told.endswith("."), f"{pair}: {told}"
                assert "\n" not in told, f"{pair}: {told}"
            else:
                yield pair


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fuzz") / "d"
    write(simulate(users=6, seed=0, strength=1), out)
    return out


class LateError(BaseException):
    """Of no kind that the command line makes a sentence of."""


@contextmanager
def at_most(seconds: int, what: str) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise LateError(f"{what} takes more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_who_takes_too_long_is_told_as_such(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.feature_sets.open_data", lambda *given, **named: time.sleep(5))
    with pytest.raises(LateError, match=r"^reading takes more than 1 seconds$"), at_most(1, "reading"):
        cli("train", "--data", "d", "--out", "r")


@rows
def test_any_value_ends_well(algorithm: str, people: Path, tmp_path: Path, cli: Cli) -> None:
    pairs = list(accepted(algorithm))
    chance = np.random.default_rng(zlib.crc32(algorithm.encode()))
    if len(pairs) > TRIED:
        pairs = [pairs[place] for place in chance.choice(len(pairs), int(TRIED), replace=False)]
    wrong = []
    for number, pair in enumerate(pairs):
        options = ("--algorithm", algorithm, "--updates", "12", "--evaluations", "1", "--set", pair, "--json")
        try:
            with at_most(SECONDS, pair):
                called = cli("train", "--data", people, "--out", tmp_path / str(number), *options)
        except LateError as error:
            wrong.append(str(error))
            continue
        problem = unexpected(called)
        if problem:
            wrong.append(f"{pair}: {problem}")
    assert not wrong, "\n".join(wrong)


def unexpected(called: Any) -> str | None:
    """What is wrong with the end of a training, if anything."""
    if called.code == OK:
        summary = json.loads(called.out)
        return None if all(map(math.isfinite, summary["validation_nmrr"].values())) else "not finite"
    if called.code not in (BAD_DATA, BAD_CONFIG, BAD_MODEL):
        return f"exit {called.code}: {called.err}"
    one_sentence = called.err.startswith("persarank: ") and called.err.count("\n") == 1
    return None if one_sentence and "unexpected" not in called.err else called.err
