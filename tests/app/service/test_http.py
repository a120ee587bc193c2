"""The service's answers: documented statuses whatever it is asked, and nothing of one user for another."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.service.http import application
from app.service.limits import Limits
from app.service.openapi import ANSWERS, ERRORS, document
from app.service.serving import Serving
from app.service.store import Store, opened
from app.suggestions.suggester import of_run
from data.storage import read

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(max_size=30) | st.sampled_from(
    ["", " ", "\x00", "a" * 10_000, "\ud800", "<b>", "'; --", "א" * 200]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3),
    max_leaves=5,
)
DOCUMENTED = {
    "/v1/suggest": {200, *map(int, ERRORS)},
    "/v1/observe": {200, 201, *map(int, ERRORS)},
    "/v1/adapt": {200, 409, *map(int, ERRORS)},
}


def lists(client: TestClient, user: str, q: str, k: int = 100) -> list[str]:
    answer = client.get("/v1/suggest", params={"user": user, "q": q, "k": k})
    assert answer.status_code == 200, answer.text
    return [one["text"] for one in answer.json()["suggestions"]]


def observe(client: TestClient, user: str, q: str, prefix: str = "", key: str = "") -> Any:
    return client.post("/v1/observe", json={"user": user, "q": q, "prefix": prefix, "key": key})


def test_lists_are_those_of_the_suggester(client: TestClient, run: Path) -> None:
    suggester = of_run(run, shared_by=2)
    for user, name in enumerate(suggester.users[:5]):
        for q in ("h", "how", "b", "zzz"):
            found = suggester.suggest(suggester.visit(user), q, 10).personal
            answer = client.get("/v1/suggest", params={"user": name, "q": q}).json()
            assert [(one["text"], one["score"]) for one in answer["suggestions"]] == [
                (one.text, one.score) for one in found
            ]
            assert answer["model"] == "own"


def test_a_search_is_kept_once_by_its_key_and_after_a_restart(run: Path, tmp_path: Path) -> None:
    for first in (True, False):
        with opened(tmp_path / "store") as kept:
            client = TestClient(application(Serving(run, kept), Limits()))
            for again in (False, True):
                answer = observe(client, "ann", "heptagon tiles", "hep", "key 1")
                new = first and not again
                assert (answer.status_code, answer.json()["new"]) == ((201, True) if new else (200, False))
            assert lists(client, "ann", "hepta") == ["heptagon tiles"]
            assert len(kept.entries("ann")) == 1


def test_what_one_user_does_is_not_seen_by_another(client: TestClient) -> None:
    users = [f"user {number:03}" for number in range(4)] + ["new", "newer"]
    before = {user: lists(client, user, "h") for user in users[1:]}
    observe(client, users[0], "horse radish", "h")
    assert client.post("/v1/adapt", json={"user": users[0]}).status_code == 200
    assert "horse radish" in lists(client, users[0], "h")
    assert {user: lists(client, user, "h") for user in users[1:]} == before


def test_two_users_hammered_at_once_never_see_each_other(client: TestClient) -> None:
    def hammer(user: str) -> list[list[str]]:
        seen = []
        for number in range(25):
            assert observe(client, user, f"secret of {user} {number}", "s").status_code == 201
            seen.append(lists(client, user, "secret"))
        return seen

    with ThreadPoolExecutor(2) as pool:
        for user, seen in zip(("ann", "ben"), pool.map(hammer, ("ann", "ben")), strict=True):
            for number, texts in enumerate(seen):
                assert sorted(texts) == sorted(f"secret of {user} {one}" for one in range(number + 1))


def test_of_a_deleted_user_nothing_is_left(client: TestClient, serving: Serving, tmp_path: Path) -> None:
    observe(client, "user 003", "my secret wish", "my")
    assert lists(client, "user 003", "my s") == ["my secret wish"]
    own = client.get("/v1/suggest", params={"user": "user 003", "q": "h"}).json()
    assert client.delete("/v1/users/user%20003").status_code == 204
    assert lists(client, "user 003", "my s") == []
    kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"secret wish" not in kept
    answer = client.get("/v1/suggest", params={"user": "user 003", "q": "h"}).json()
    assert (own["model"], answer["model"]) == ("own", "common"), "new also to the run"
    again = Serving(serving._place, serving._store)
    assert again.people.suggest("user 003", "h", 100).models.own is False


def test_what_only_one_user_has_searched_is_suggested_to_nobody_else(client: TestClient, tiny: Path) -> None:
    dataset = read(tiny)
    events = dataset.events.to_pandas()
    events = events[events["split"] == "train"]
    by = events.groupby("query_id")["user_id"].nunique()
    texts = dataset.queries.column("text").to_pylist()
    rare = {texts[query] for query in by[by == 1].index}
    assert rare
    letters = sorted({text[0] for text in rare})
    shown = {text for letter in letters for text in lists(client, "somebody new", letter)}
    assert shown
    outside = dataset.queries.to_pandas()
    known = set(outside.loc[outside.get("outside", 0) > 0, "text"]) if "outside" in outside else set()
    assert not (shown & rare) - known


@QUICK
@given(route=st.sampled_from(["/v1/observe", "/v1/adapt"]), body=ANYTHING)
def test_any_body_gets_a_documented_status(client: TestClient, route: str, body: Any) -> None:
    try:
        content = json.dumps(body).encode()
    except ValueError:
        return
    answer = client.post(route, content=content, headers={"content-type": "application/json"})
    assert answer.status_code in DOCUMENTED[route]
    assert answer.headers["content-type"].startswith("application/problem+json") == (
        answer.status_code >= 400
    )


@QUICK
@given(user=TEXT, q=TEXT, k=st.integers() | TEXT)
def test_any_question_gets_a_documented_status(client: TestClient, user: str, q: str, k: Any) -> None:
    values = {"user": user, "q": q, "k": str(k)}
    query = {name: value.encode("utf-8", "surrogatepass") for name, value in values.items()}
    answer = client.get("/v1/suggest", params=query)  # type: ignore[arg-type]
    assert answer.status_code in DOCUMENTED["/v1/suggest"]


@QUICK
@given(user=TEXT, q=TEXT, prefix=TEXT)
def test_hostile_text_is_kept_or_refused_and_breaks_nothing(
    client: TestClient, user: str, q: str, prefix: str
) -> None:
    body = json.dumps({"user": user, "q": q, "prefix": prefix}).encode()
    answer = client.post("/v1/observe", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (201, 422)
    if answer.status_code == 201:
        assert client.get("/v1/suggest", params={"user": user, "q": q[:5]}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("POST", "/v1/observe", {"content-type": "application/json"}, b"{", 400),
        ("POST", "/v1/observe", {"content-type": "application/json"}, b"[" * 100_000, 413),
        ("POST", "/v1/observe", {"content-type": "application/json"}, b"[" * 10_000, 400),
        ("POST", "/v1/observe", {"content-type": "text/plain"}, b"{}", 415),
        ("POST", "/v1/observe", {"content-type": "application/json"}, b"x" * 20_000, 413),
        ("POST", "/v1/suggest", {}, b"", 405),
        ("GET", "/v2/suggest", {}, b"", 404),
        ("DELETE", "/v1/users/" + "x" * 201, {}, b"", 422),
    ],
)
def test_what_is_wrong_is_told_as_a_problem(
    client: TestClient, method: str, path: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = client.request(method, path, headers=headers, content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], set(told)) == (status, {"type", "title", "status", "detail"})


def test_a_token_is_asked_for_but_for_the_service_s_health(serving: Serving) -> None:
    client = TestClient(application(serving, Limits("a token of some length")))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "a token of some length"[:-1]}):
        for path in ("/v1/suggest?user=a", "/metrics", "/openapi.json", "/docs"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/healthz", headers=headers).status_code == 200
        assert client.get("/readyz", headers=headers).status_code == 200
    good = {"authorization": "Bearer a token of some length"}
    assert client.get("/v1/suggest?user=a&q=h", headers=good).status_code == 200


def test_who_asks_too_often_waits(serving: Serving) -> None:
    client = TestClient(application(serving, Limits(rate=0.001, burst=3)))
    found = [client.get("/v1/suggest", params={"user": "ann", "q": "h"}) for _ in range(4)]
    assert [answer.status_code for answer in found] == [200, 200, 200, 429]
    assert int(found[-1].headers["retry-after"]) > 900
    assert client.get("/v1/suggest", params={"user": "ben", "q": "h"}).status_code == 200, "others do not"


def test_figures_name_nobody(client: TestClient) -> None:
    lists(client, "user 001", "h")
    client.delete("/v1/users/somebody%20else")
    text = client.get("/metrics").text
    assert 'persarank_requests_total{method="GET",route="/v1/suggest",status="200"} 1' in text
    assert "persarank_users_in_memory 2" in text
    assert "user 001" not in text
    assert "somebody" not in text


def test_the_openapi_page_tells_every_route() -> None:
    told = document(tokens=True)
    assert {(method, path) for path, methods in told["paths"].items() for method in methods} == set(ANSWERS)
    assert told["security"] == [{"token": []}]


def test_another_run_takes_the_place_without_losing_what_was_kept(
    run: Path, store: Store, tmp_path: Path
) -> None:
    place = tmp_path / "current"
    place.symlink_to(run)
    serving = Serving(place, store)
    client = TestClient(application(serving, Limits()))
    observe(client, "ann", "heptagon tiles")
    assert not serving.look(), "nothing new"
    before = serving.people
    other = tmp_path / "other"
    other.mkdir()
    place.unlink()
    place.symlink_to(other)
    assert not serving.look(), "no run is there"
    assert serving.people is before
    for file in run.iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    assert serving.look()
    assert serving.people is not before
    assert lists(client, "ann", "hepta") == ["heptagon tiles"]
    assert client.get("/readyz").json()["run"] == "other"
