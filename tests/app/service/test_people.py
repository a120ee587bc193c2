"""Whoever is asked for by name: what stays in memory, and what is worked out again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.service import people
from app.service.limits import Limits
from app.service.serving import Serving
from app.service.store import Store
from tests.app.service.conftest import Start


def test_who_leaves_memory_comes_back_as_they_were(
    run: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MEMORY", 3 * 10**6)
    (found,) = Serving([run], store).people
    names = [f"user {number:03}" for number in range(8)] + [f"new {number}" for number in range(300)]
    for name in names:
        found.observe(name, f"heptagon of {name}", "h")
        if name.startswith("user"):
            found.observe(name, f"heptagon of {name}", "h")
            found.adapt(name)
    assert len(found) < 60, "a few stay"
    (anew,) = Serving([run], store).people
    for name in names[:12]:
        assert not found.known(name)
        lists = [one.suggest(name, "hept", 10).personal for one in (found, anew)]
        assert lists[0] == lists[1]
        assert lists[0][0].text == f"heptagon of {name}"


def test_no_request_is_dropped_while_another_run_comes(
    run: Path, common: Path, store: Store, tmp_path: Path, start: Start
) -> None:
    place = tmp_path / "current"
    place.symlink_to(run)
    serving = Serving([place], store)
    client, ended = start(serving, Limits(rate=1e6, burst=1e6)), threading.Event()
    answered = {user: list[str]() for user in ("user 001", "user 002", "new")}

    def ask(user: str) -> None:
        while not ended.is_set():
            answer = client.get("/v1/suggest", user=user, q="h")
            assert (answer.status, len(answer.json["suggestions"])) == (200, 10)
            assert client.observe(user, f"heptagon {len(answered[user])}", "h").status == 201
            answered[user].append(answer.json["run"])

    with ThreadPoolExecutor(len(answered)) as pool:
        asking = [pool.submit(ask, user) for user in answered]
        for other in (common, run, common):
            replacement = tmp_path / "next"
            replacement.symlink_to(other)
            replacement.replace(place)
            assert serving.look()
            before = {user: len(runs) for user, runs in answered.items()}
            while any(other.name not in runs[before[user] :] for user, runs in answered.items()):
                assert not any(one.done() for one in asking)
                time.sleep(0.01)
        ended.set()
        for one in asking:
            one.result()
    for user, runs in answered.items():
        texts = [entry.text for entry in store.entries(user)]
        assert texts == [f"heptagon {number}" for number in range(len(runs))]
        assert set(texts[-50:]) <= set(client.suggest(user, "heptagon")), "nothing is lost when runs change"
