"""What can be asked: documented statuses whatever it is, tokens, names of the machine, rates, figures."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.service.limits import Limits
from app.service.openapi import ANSWERS, ERRORS, document
from app.service.serving import Serving
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


def test_a_service_without_a_token_is_asked_by_the_names_of_this_machine(
    serving: Serving, start: Start
) -> None:
    client = start(serving, Limits(names=frozenset(("localhost", "127.0.0.1", "::1"))))
    for host in ("evil.example", "evil.example:8650", "", "127.0.0.1.evil.example"):
        assert client.get("/v1/suggest", {"host": host}, user="ann").status == 421
    for host in ("localhost", "LOCALHOST:8650", "127.0.0.1:1", "[::1]:8650", "[::1]"):
        assert client.get("/v1/suggest", {"host": host}, user="ann").status == 200


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
