"""A run whose users have models of their own, a service of it on a free port, and whoever asks it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from app.runs.settings import resolve
from app.runs.training import train_run
from app.service.http import Answers
from app.service.limits import Limits
from app.service.server import listening, over_http
from app.service.serving import Serving
from app.service.store import Store, opened
from data.schema import Dataset
from data.storage import read, write
from tests.ranking.test_shared import without_outside


@pytest.fixture(scope="package")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty simulated users, each with a model of their own."""
    out = tmp_path_factory.mktemp("served") / "run"
    settings = resolve(
        {"algorithm": "persa-fl-me", "updates": 60, "evaluations": 0}, {"lam": 3.0, "personal_samples": 5}
    )
    train_run(settings, tiny, read(tiny), out, lambda event: None)
    return out


@pytest.fixture(scope="package")
def common(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of trees that all share."""
    out = tmp_path_factory.mktemp("served") / "common"
    settings = resolve({"ranker": "forest", "algorithm": "pooled", "evaluations": 0}, {"n_estimators": 5})
    train_run(settings, tiny, read(tiny), out, lambda event: None)
    return out


@pytest.fixture(scope="package")
def few_outside(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on data of which most is not known from people outside."""
    place = tmp_path_factory.mktemp("few")
    write(without_outside(tiny_dataset, kept=40), place / "data")
    settings = resolve({"algorithm": "fedavg", "updates": 20, "evaluations": 0}, {})
    train_run(settings, place / "data", read(place / "data"), place / "run", lambda event: None)
    return place / "run"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store") as kept:
        yield kept


@pytest.fixture
def serving(run: Path, store: Store) -> Serving:
    return Serving([run], store)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Client:
    """Asks a service on this machine; every request has a connection of its own."""

    port: int

    def request(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, content, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> Answer:
        """Values of ``query`` may hold halves of characters."""
        asked = urlencode(query, errors="surrogatepass")
        return self.request("GET", f"{path}?{asked}" if query else path, headers=headers)

    def post(self, path: str, body: Any) -> Answer:
        content = json.dumps(body).encode()
        return self.request("POST", path, content, {"content-type": "application/json"})

    def suggest(self, user: str, q: str, k: int = 100) -> list[str]:
        answer = self.get("/v1/suggest", user=user, q=q, k=k)
        assert answer.status == 200, answer.content
        return [one["text"] for one in answer.json["suggestions"]]

    def observe(self, user: str, q: str, prefix: str = "", key: str = "") -> Answer:
        return self.post("/v1/observe", {"user": user, "q": q, "prefix": prefix, "key": key})

    def delete(self, user: str) -> Answer:
        return self.request("DELETE", f"/v1/users/{quote(user, safe='')}")


@contextmanager
def served(serving: Serving, limits: Limits) -> Iterator[Client]:
    """A service of a run, on a free port, until the block ends."""
    with listening("127.0.0.1", 0) as listener:
        answers = Answers(serving, limits)
        server = over_http(answers)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
            answers.end()


Start = Callable[[Serving, Limits], Client]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts services that end with the test."""
    with ExitStack() as stack:
        yield lambda serving, limits: stack.enter_context(served(serving, limits))


@pytest.fixture
def client(serving: Serving, start: Start) -> Client:
    """Asks as often as it likes."""
    return start(serving, Limits(rate=1e6, burst=1e6))
