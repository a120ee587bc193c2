"""`persarank serve` as a process: killed under load it has lost nothing, and it ends as it is asked to."""

import http.client
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from app.commands.exits import BAD_RUN, USAGE
from app.runs.settings import resolve
from app.runs.training import train_run
from app.service.store import opened
from data.storage import read
from tests.e2e.hostile import CALL, start

KILLS = int(os.environ.get("PERSARANK_KILLS", "3"))
AGAIN = {"kept": True, "new": False}
USERS = ("ann", "ben", "user 001")


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served") / "run"
    train_run(
        resolve({"algorithm": "fedavg", "updates": 40, "evaluations": 0}, {}),
        tiny,
        read(tiny),
        out,
        lambda _: None,
    )
    return out


class Service:
    """One that serves a run on a free port of this machine."""

    def __init__(self, run: Path, store: Path, *options: object) -> None:
        self.process = start(CALL, "serve", run, "--store", store, "--port", 0, "--rate", 100_000, *options)
        assert self.process.stderr is not None
        told = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+) ", told)
        assert found, told + self.process.stderr.read()
        self.port = int(found[1])

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"content-type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and last words."""
        os.kill(self.process.pid, number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def load(service: Service, user: str, first: int, acknowledged: list[int]) -> None:
    """Observe one search after the other until the service is gone, and each again as soon as it is kept."""
    for number in range(first, 10**6):
        body = {"user": user, "q": f"{user} {number}", "prefix": user[:1], "key": str(number)}
        try:
            first, _ = service.ask("POST", "/v1/observe", body)
            assert first in (200, 201)
            acknowledged.append(number)
            assert service.ask("POST", "/v1/observe", body) == (200, {**AGAIN, "user": user, "q": body["q"]})
        except (OSError, http.client.HTTPException):
            return


def test_after_kills_under_load_every_acknowledged_search_is_there_once(run: Path, tmp_path: Path) -> None:
    done: dict[str, list[int]] = {user: [] for user in USERS}
    for _ in range(KILLS):
        service = Service(run, tmp_path / "store")
        workers = [
            threading.Thread(
                target=load, args=(service, user, done[user][-1] + 1 if done[user] else 0, done[user])
            )
            for user in USERS
        ]
        before = {user: len(done[user]) for user in USERS}
        for worker in workers:
            worker.start()
        while any(len(done[user]) < before[user] + 10 for user in USERS):
            assert service.process.poll() is None
        service.end(signal.SIGKILL)
        for worker in workers:
            worker.join()
    with opened(tmp_path / "store") as store:
        for user in USERS:
            there = [int(entry.key) for entry in store.entries(user)]
            assert there == list(range(len(there))), "in their order, none twice"
            assert set(done[user]) <= set(there)


def test_it_ends_as_it_is_asked_to_and_a_second_one_is_refused(run: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    service = Service(run, store)
    assert service.ask("GET", "/readyz")[0] == 200
    assert service.ask("GET", "/v1/suggest?" + urlencode({"user": "user 001", "q": "h"}))[0] == 200
    second = start(CALL, "serve", run, "--store", store, "--port", 0)
    _, said = second.communicate(timeout=60)
    assert (second.returncode, "is held by another service" in said) == (BAD_RUN, True)
    taken = start(CALL, "serve", run, "--store", tmp_path / "other", "--port", service.port)
    _, said = taken.communicate(timeout=60)
    assert (taken.returncode, "choose another --host or --port" in said) == (USAGE, True)
    code, said = service.end()
    assert (code, said) == (0, "")


def test_elsewhere_than_on_this_machine_a_token_is_needed(run: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("secret\n")
    for options, why in (
        (("--host", "0.0.0.0"), "give a --token-file"),
        (("--token-file", short), "16 or more ASCII characters"),
        (("--token-file", tmp_path / "none"), "cannot be read"),
    ):
        process: subprocess.Popen[str] = start(CALL, "serve", run, "--port", 0, *options)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, why in said.replace("\n", " ")) == (USAGE, True), said
