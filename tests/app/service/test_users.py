"""What users of a service get and leave: kept once, seen by nobody else, and gone when it is deleted."""

import errno
import gc
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.runs.directory import open_run
from app.service.limits import Limits
from app.service.serving import Serving
from app.service.store import Entry, Store, opened
from app.suggestions.suggester import of_run
from app.suggestions.visit import Accepted
from data.storage import read
from ranking.events import Events
from tests.app.service.conftest import Client, Start


def test_lists_are_those_of_the_suggester(client: Client, run: Path) -> None:
    suggester = of_run(run, shared_by=2)
    for user, name in enumerate(suggester.users[:5]):
        for q in ("h", "how", "b", "zzz"):
            found = suggester.suggest(suggester.visit(user), q, 10).personal
            answer = client.get("/v1/suggest", user=name, q=q).json
            assert [(one["text"], one["score"]) for one in answer["suggestions"]] == [
                (one.text, one.score) for one in found
            ]
            assert answer["model"] == "own"


def test_a_search_is_kept_once_by_its_key_and_after_a_restart(
    run: Path, tmp_path: Path, start: Start
) -> None:
    for first in (True, False):
        with opened(tmp_path / "store") as kept:
            client = start(Serving([run], kept), Limits())
            for again in (False, True):
                answer = client.observe("ann", "heptagon tiles", "hep", "key 1")
                new = first and not again
                assert (answer.status, answer.json["new"]) == ((201, True) if new else (200, False))
            assert client.suggest("ann", "hepta") == ["heptagon tiles"]
            assert len(kept.entries("ann")) == 1


def test_what_one_user_does_is_not_seen_by_another(client: Client) -> None:
    users = [f"user {number:03}" for number in range(4)] + ["new", "newer"]
    before = {user: client.suggest(user, "h") for user in users[1:]}
    client.observe(users[0], "horse radish", "h")
    assert client.post("/v1/adapt", {"user": users[0]}).status == 200
    assert "horse radish" in client.suggest(users[0], "h")
    assert {user: client.suggest(user, "h") for user in users[1:]} == before


def test_two_users_hammered_at_once_never_see_each_other(run: Path, tmp_path: Path, start: Start) -> None:
    """Each gets what they get alone: lists, scores and what adapting found, to the last digit."""

    def served(store: str) -> Client:
        return start(
            Serving([run], stack.enter_context(opened(tmp_path / store))), Limits(rate=1e6, burst=1e6)
        )

    def hammer(client: Client, user: str) -> list[Any]:
        seen = []
        for number in range(24):
            assert client.observe(user, f"secret of {user} {number % 5}", "s").status == 201
            seen.append(client.get("/v1/suggest", user=user, q="secret").json)
            seen.append(client.get("/v1/suggest", user=user, q="h").json)
            if number % 6 == 5:
                seen.append(client.post("/v1/adapt", {"user": user}).json)
        return seen

    users = ("user 001", "user 002", "somebody new")
    with ExitStack() as stack, ThreadPoolExecutor(len(users)) as pool:
        together = served("together")
        found = list(pool.map(lambda user: hammer(together, user), users))
        for user, seen in zip(users, found, strict=True):
            assert seen == hammer(served(user), user)
            others = {text for text in json.dumps(seen).split('"') if text.startswith("secret of")}
            assert others == {f"secret of {user} {number}" for number in range(5)}


def test_requests_of_one_user_at_once_come_one_after_the_other(client: Client, store: Store) -> None:
    def observe(number: int) -> int:
        return client.observe("ann", f"heptagon {number // 4}", "h", f"key {number // 4}").status

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(observe, range(200)))
    assert [sorted(found[at : at + 4]) for at in range(0, 200, 4)] == [[200, 200, 200, 201]] * 50
    texts = [one.text for one in store.entries("ann")]
    assert sorted(texts) == sorted(f"heptagon {number}" for number in range(50))
    assert client.suggest("ann", "") == texts[::-1]


def test_of_a_deleted_user_nothing_is_left(
    client: Client, serving: Serving, run: Path, store: Store, tmp_path: Path
) -> None:
    client.observe("user 003", "my secret wish", "my")
    assert client.suggest("user 003", "my s") == ["my secret wish"]
    own = client.get("/v1/suggest", user="user 003", q="h").json
    assert client.delete("user 003").status == 204
    assert client.suggest("user 003", "my s") == []
    kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"secret wish" not in kept
    answer = client.get("/v1/suggest", user="user 003", q="h").json
    assert (own["model"], answer["model"]) == ("own", "common"), "new also to the run"
    again = Serving([run], store).first.people
    assert again.suggest("user 003", "h", 100).models.own is False
    assert serving.first.people.suggester.candidates._index._top.cache_info().currsize < 3, (
        "nor what was typed"
    )
    assert not [one for one in gc.get_objects() if type(one) is Accepted and one.text == "my secret wish"]


def test_what_only_one_user_has_searched_is_suggested_to_nobody_else(
    few_outside: Path, store: Store, start: Start
) -> None:
    dataset = read(open_run(few_outside).source(None))
    events = Events.of(dataset.events)
    by = np.zeros(dataset.queries.num_rows, int)
    np.add.at(by, np.unique(np.stack([events.query, events.user])[:, events.training], axis=1)[0], 1)
    outside = dataset.queries.column("public_count").to_numpy() > 0
    texts = np.array(dataset.queries.column("text").to_pylist())
    rare, letters = set(texts[(by == 1) & ~outside]), sorted({text[:2] for text in texts})

    def shown(users: int) -> set[str]:
        client = start(Serving([few_outside], store, shared_by=users), Limits(rate=1e6, burst=1e6))
        return {text for letter in letters for text in client.suggest("somebody new", letter)}

    assert len(rare) > 50
    assert len(shown(1) & rare) > 50
    assert shown(2) & set(texts[by == 2])
    assert not shown(2) & rare
    assert not shown(3) & set(texts[(by < 3) & ~outside])


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "..", "x y", "ü?&=#", "josé"])
def test_whoever_can_search_can_be_deleted(name: str, client: Client) -> None:
    assert client.observe(name, "heptagon tiles").status == 201
    assert client.suggest(name, "hepta") == ["heptagon tiles"]
    assert client.delete(name).status == 204
    assert client.suggest(name, "hepta") == []


def test_names_are_those_of_imported_users(client: Client) -> None:
    client.observe("jose\u0301  b\u200b", "heptagon tiles")
    assert client.suggest("josé b", "hepta") == ["heptagon tiles"]
    assert client.get("/v1/suggest", user="user  003 ", q="h").json["model"] == "own"


def test_a_full_disk_is_told_and_nothing_is_kept_of_what_was_refused(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.observe("user 003", "first heptagon")
    real = os.pwrite
    for broken in (lambda *_: 1, _no_space):
        monkeypatch.setattr(os, "pwrite", broken)
        for answer in (client.observe("user 003", "second heptagon"), client.observe("ben", "heptagon")):
            assert (answer.status, "cannot be read or written" in answer.json["detail"]) == (503, True)
        assert client.suggest("user 003", "")[0] == "first heptagon"
    assert client.delete("user 003").status == 503
    assert client.suggest("user 003", "first") == [], "it is not there any more, though not marked"
    monkeypatch.setattr(os, "pwrite", real)
    assert client.delete("user 003").status == 204
    assert client.get("/v1/suggest", user="user 003", q="h").json["model"] == "common"
    assert client.observe("ben", "heptagon").status == 201
    assert [one.text for one in store.entries("ben")] == ["heptagon"]


def _no_space(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_damaged_file_is_told_and_can_be_deleted(client: Client, store: Store, tmp_path: Path) -> None:
    for text in ("first", "second", "third"):
        store.append("ann", Entry("observed", text))
    (file,) = (tmp_path / "store" / "users").rglob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"second", b"s3cond"))
    for answer in (client.get("/v1/suggest", user="ann", q="h"), client.observe("ann", "fourth")):
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "cannot be read" in answer.json["detail"]
    assert client.suggest("ben", "h"), "others are served"
    assert client.delete("ann").status == 204
    assert client.observe("ann", "fourth").status == 201
