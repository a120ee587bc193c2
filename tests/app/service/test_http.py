"""The service's answers: documented statuses whatever it is asked, and nothing of one user for another."""

import errno
import gc
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.runs.directory import open_run
from app.service.limits import Limits
from app.service.openapi import ANSWERS, ERRORS, document
from app.service.serving import Serving
from app.service.store import Entry, Store, opened
from app.suggestions.adaptation import offered
from app.suggestions.suggester import of_run
from app.suggestions.visit import Accepted
from data.storage import read
from ranking.events import Events
from tests.app.service.conftest import Client, Start

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(max_size=30) | st.sampled_from(
    ["", " ", "\x00", "a" * 10_000, "\ud800", "<b>", "'; --", "א" * 200]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3),
    max_leaves=5,
)
JSON = {"content-type": "application/json"}
DOCUMENTED = {
    "/v1/suggest": {200, *map(int, ERRORS)},
    "/v1/observe": {200, 201, *map(int, ERRORS)},
    "/v1/adapt": {200, 409, *map(int, ERRORS)},
}


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


@QUICK
@given(route=st.sampled_from(["/v1/observe", "/v1/adapt"]), body=ANYTHING)
def test_any_body_gets_a_documented_status(client: Client, route: str, body: Any) -> None:
    try:
        content = json.dumps(body).encode()
    except ValueError:
        return
    answer = client.request("POST", route, content, JSON)
    assert answer.status in DOCUMENTED[route]
    assert answer.headers["content-type"].startswith("application/problem+json") == (answer.status >= 400)


@QUICK
@given(user=TEXT, q=TEXT, k=st.integers() | TEXT)
def test_any_question_gets_a_documented_status(client: Client, user: str, q: str, k: Any) -> None:
    answer = client.get("/v1/suggest", user=user, q=q, k=k)
    assert answer.status in DOCUMENTED["/v1/suggest"]


@QUICK
@given(user=TEXT, q=TEXT, prefix=TEXT)
def test_hostile_text_is_kept_or_refused_and_breaks_nothing(
    client: Client, user: str, q: str, prefix: str
) -> None:
    answer = client.observe(user, q, prefix)
    assert answer.status in (201, 413, 422)
    if answer.status == 201:
        assert client.get("/v1/suggest", user=user, q=q[:5]).status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("POST", "/v1/observe", JSON, b"{", 400),
        ("POST", "/v1/observe", JSON, b"[" * 100_000, 413),
        ("POST", "/v1/observe", JSON, b"[" * 10_000, 400),
        ("POST", "/v1/observe", {"content-type": "text/plain"}, b"{}", 415),
        ("POST", "/v1/observe", JSON, b"x" * 20_000, 413),
        ("POST", "/v1/suggest", {}, b"", 405),
        ("GET", "/v2/suggest", {}, b"", 404),
        ("GET", "/v1/suggest?user=ann&run=none", {}, b"", 404),
        ("DELETE", "/v1/users/" + "x" * 201, {}, b"", 422),
        ("DELETE", "/v1/users/%FE", {}, b"", 422),
        ("GET", "/v1/suggest?user=x%FE", {}, b"", 422),
        ("GET", "/v1/suggest?user=ann&user=ben", {}, b"", 422),
        ("GET", "/v1/suggest?user=%E2%80%8B", {}, b"", 422),
        ("GET", "/v1/suggest/?user=ann", {}, b"", 404),
        ("POST", "/v1/observe", JSON, b'{"user": "ann", "q": "x", "q": "y"}', 400),
    ],
)
def test_what_is_wrong_is_told_as_a_problem(
    client: Client, method: str, path: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = client.request(method, path, content or None, headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert (told["status"], set(told)) == (status, {"type", "title", "status", "detail"})


def test_what_cannot_be_done_here_says_what_can(client: Client) -> None:
    assert client.request("POST", "/v1/suggest").headers["allow"] in ("GET, HEAD", "HEAD, GET")
    counted = 'persarank_requests_total{method="any",route="other",status="405"} 1'
    assert counted in client.get("/metrics").content.decode()


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


def test_a_service_without_a_token_is_asked_by_the_names_of_this_machine(
    serving: Serving, start: Start
) -> None:
    client = start(serving, Limits(names=frozenset(("localhost", "127.0.0.1", "::1"))))
    for host in ("evil.example", "evil.example:8650", "", "127.0.0.1.evil.example"):
        assert client.get("/v1/suggest", {"host": host}, user="ann").status == 421
    for host in ("localhost", "LOCALHOST:8650", "127.0.0.1:1", "[::1]:8650", "[::1]"):
        assert client.get("/v1/suggest", {"host": host}, user="ann").status == 200


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


def test_a_token_is_asked_for_but_for_the_service_s_health(serving: Serving, start: Start) -> None:
    client = start(serving, Limits("a token of some length"))
    wrong = (
        "Bearer wrong",
        "a token of some length",
        "Basic a token of some length",
        "Bearer a token of some",
    )
    for headers in ({}, *({"authorization": one} for one in wrong)):
        for path in ("/v1/suggest?user=a", "/metrics"):
            answer = client.get(path, headers=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/healthz", headers=headers).status == 200
        assert client.get("/readyz", headers=headers).status == 200
        assert client.get("/openapi.json", headers=headers).json["security"] == [{"token": []}]
    for scheme in ("Bearer", "bearer"):
        good = {"authorization": f"{scheme} a token of some length"}
        assert client.get("/v1/suggest?user=a&q=h", headers=good).status == 200


def test_who_asks_too_often_waits(serving: Serving, start: Start) -> None:
    client = start(serving, Limits(rate=0.001, burst=3))
    found = [client.get("/v1/suggest", user="ann", q="h") for _ in range(4)]
    assert [answer.status for answer in found] == [200, 200, 200, 429]
    assert int(found[-1].headers["retry-after"]) > 900
    assert client.get("/v1/suggest", user="ben", q="h").status == 200, "others do not"


def test_figures_name_nobody(client: Client) -> None:
    client.suggest("user 001", "h")
    client.delete("somebody else")
    text = client.get("/metrics").content.decode()
    assert 'persarank_requests_total{method="GET",route="/v1/suggest",status="200"} 1' in text
    assert "persarank_users_in_memory 1" in text
    assert "user 001" not in text
    assert "somebody" not in text


def test_the_openapi_page_tells_every_route() -> None:
    told = document(tokens=True)
    assert {(method, path) for path, methods in told["paths"].items() for method in methods} == set(ANSWERS)
    assert told["security"] == [{"token": []}]


def test_another_run_takes_the_place_without_losing_what_was_kept(
    run: Path, store: Store, tmp_path: Path, start: Start
) -> None:
    place = tmp_path / "current"
    place.symlink_to(run)
    serving = Serving([place], store)
    client = start(serving, Limits())
    client.observe("ann", "heptagon tiles")
    assert not serving.look(), "nothing new"
    before = serving.first.people
    other = tmp_path / "other"
    other.mkdir()
    place.unlink()
    place.symlink_to(other)
    assert not serving.look(), "no run is there"
    assert serving.first.people is before
    for file in run.iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    assert serving.look()
    assert serving.first.people is not before
    assert client.suggest("ann", "hepta") == ["heptagon tiles"]
    assert client.get("/readyz").json["runs"] == {"current": "other"}


def test_several_runs_know_what_users_do_and_answer_by_name(
    run: Path, common: Path, store: Store, tmp_path: Path, start: Start
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    client = start(Serving([run, common, other], store), Limits())
    asked = {"user": "user 001", "q": "hepta", "k": 100}
    for name in (run.name, common.name):
        assert client.get("/v1/suggest", **asked, run=name).json["suggestions"] == []
    for _ in range(2):
        client.observe("user 001", "heptagon tiles", "hep")
    answers = [client.get("/v1/suggest", **asked, run=name).json for name in (run.name, common.name)]
    assert [answer["run"] for answer in answers] == [run.name, common.name]
    assert [answer["model"] for answer in answers] == ["own", "common"]
    assert all(answer["suggestions"][0]["text"] == "heptagon tiles" for answer in answers)
    assert client.get("/v1/suggest", **asked).json == answers[0]
    for name, strength in zip((run.name, other.name), offered(open_run(run)), strict=False):
        adapted = client.post("/v1/adapt", {"user": "user 001", "strength": strength, "run": name})
        assert adapted.json["adaptation"]["strength"] == strength
    assert client.post("/v1/adapt", {"user": "user 001", "run": common.name}).status == 409
    again = start(Serving([common, other, run], store), Limits())
    assert again.get("/v1/suggest", **asked).json == answers[1], "it has no such step, and ranks all the same"
    for name in (run.name, other.name):
        adapted = client.get("/v1/suggest", **asked, run=name).json
        assert again.get("/v1/suggest", **asked, run=name).json == adapted != answers[0], (
            "each as it was asked"
        )
    client.post("/v1/adapt", {"user": "user 001"})
    adapted = client.get("/v1/suggest", **asked, run=other.name).json
    anew = start(Serving([other], store), Limits())
    assert anew.get("/v1/suggest", **asked).json == adapted, "what was asked of all runs is for each"


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
