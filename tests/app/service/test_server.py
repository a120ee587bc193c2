"""What becomes of a service's connections, of runs that come to its places, and of work when it ends."""

import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.service import connection
from app.service.http import Answers
from app.service.limits import Limits
from app.service.people import People
from app.service.server import listening, over_http
from app.service.serving import Serving
from app.service.store import Store
from tests.app.service.conftest import Client, Start


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_holds_connections_for_nothing_is_shown_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD", 0.2)
    for said in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as idle:
            idle.sendall(said)
            assert idle.recv(1) == b""
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as kept:
        for _ in range(3):  # one after the other, with more than the limit between them
            kept.sendall(asked)
            assert kept.recv(10_000).startswith(b"HTTP/1.1 200")
            time.sleep(0.3)
        kept.sendall(asked[:20])
        assert kept.recv(1) == b"", "a second head is not waited for either"


def test_what_is_no_http_is_told_as_a_problem(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as other:
        other.sendall(b"hello\r\n\r\n")
        answer = b"".join(iter(lambda: other.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer
    assert answer.endswith(b'"status":400,"detail":"this is not HTTP/1.1."}')


def test_too_many_requests_under_way_are_told_to_come_back(serving: Serving, start: Start) -> None:
    answer = start(serving, Limits(at_once=0)).get("/v1/suggest", user="ann")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"


def test_nothing_is_written_once_a_service_has_ended(
    serving: Serving, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has begun is finished first; what waits is never done."""
    begun, go, real = threading.Event(), threading.Event(), People.adapt

    def slow(people: People, user: str, *how: object) -> object:
        begun.set()
        assert go.wait(30)
        people.observe(user, "written while it ended")
        return real(people, user)

    monkeypatch.setattr(People, "adapt", slow)
    monkeypatch.setattr("app.service.server.GRACE", 0.1)
    with listening("127.0.0.1", 0) as listener:
        answers = Answers(serving, Limits())
        server = over_http(answers)
        running = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        running.start()
        client = Client(listener.getsockname()[1])

        def ask(user: str) -> None:
            with pytest.raises((OSError, AssertionError, ValueError)):
                assert client.post("/v1/adapt", {"user": user}).status == 200

        asking = [threading.Thread(target=ask, args=(user,)) for user in ("ann", "ben")]
        asking[0].start()
        assert begun.wait(30)
        asking[1].start()
        time.sleep(0.2)
        server.should_exit = True
        running.join()
        ending = threading.Thread(target=answers.end)
        ending.start()
        time.sleep(0.1)
        assert ending.is_alive(), "it waits for what has begun"
        go.set()
        ending.join()
        for one in asking:
            one.join()
    texts = [entry.text for user in ("ann", "ben") for entry in store.entries(user)]
    assert texts == ["written while it ended"]


def test_runs_are_looked_for_whatever_has_come_before(
    run: Path, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A link in a circle, and a run that is still being copied, are told once and do not end the search."""
    place, ended = tmp_path / "current", threading.Event()
    place.symlink_to(run)
    serving = Serving([place], store)
    watching = threading.Thread(target=serving.watch, args=(0.01, ended))
    watching.start()

    def turn(to: Path) -> None:
        replacement = tmp_path / "next"
        replacement.symlink_to(to)
        replacement.replace(place)

    try:
        turn(place)
        until(lambda: caplog.messages)
        coming = tmp_path / "coming"
        coming.mkdir()
        shutil.copy(run / "model.json", coming)
        turn(coming)
        until(lambda: "is not a run directory" in caplog.text)
        time.sleep(0.1)
        assert caplog.text.count("is not a run directory") == 1
        for file in run.iterdir():
            if file.is_file() and file.name != "config.toml":
                shutil.copy(file, coming)
        shutil.copy(run / "config.toml", coming)
        until(lambda: serving.first.people.run == "coming")
        turn(run)
        until(lambda: serving.first.people.run == run.name)
        assert serving.first.reloads == 2
    finally:
        ended.set()
        watching.join()
