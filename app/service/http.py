"""The service over HTTP: JSON both ways, errors as problem+json (RFC 9457), and nothing of another user."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.service.asked import Adapt, Observe, Suggest, checked, decoded, once, parsed
from app.service.figures import Figures
from app.service.limits import Limits
from app.service.openapi import PAGE, document
from app.service.people import People
from app.service.problems import TITLES, ProblemError, problem
from app.service.serving import Place, Serving
from app.service.store import StoreError
from app.suggestions.adaptation import NotAdaptableError
from data.log_import import clean

Handler = Callable[[Request], Awaitable[Response]]
THREADS = (2, 4, 1)
"""That work out whom memory does not know, that write, and that adapt models: none waits for another kind."""

OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")
"""What needs no token: whether the service lives, whether it can answer, and what can be asked."""

USERS = "/v1/users/"

log = logging.getLogger("persarank.service")


class Answers:
    """One method a route; users' visits are changed one after the other, each user's by themselves."""

    def __init__(self, serving: Serving, limits: Limits) -> None:
        self._serving, self._limits, self.figures = serving, limits, Figures()
        self._reading, self._writing, self._adapting = map(ThreadPoolExecutor, THREADS)
        self._under_way = 0
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    async def suggest(self, request: Request) -> Response:
        """A user's list."""
        asked = checked(Suggest, parsed(request.scope["query_string"]))
        self._spend(asked.user)
        people = self._place(asked.run).people
        if people.known(asked.user):
            found = people.suggest(asked.user, asked.q, asked.k)
        else:
            found = await self._alone(people, asked.user, People.suggest, asked.q, asked.k)
        model = "own" if found.models.own else "common" if found.models.common else "none"
        shown = [{"text": one.text, "score": one.score, "own": one.own} for one in found.personal]
        return JSONResponse(
            {
                "user": asked.user,
                "prefix": found.prefix,
                "model": model,
                "candidates": found.size,
                "suggestions": shown,
                "run": people.run,
            }
        )

    async def observe(self, request: Request) -> Response:
        """Keep a search: it is on disk before this is answered."""
        asked = checked(Observe, await self._body(request))
        self._spend(asked.user)
        try:
            new = await self._changed(None, asked.user, People.observe, asked.q, asked.prefix, asked.key)
        except ValueError as error:
            raise ProblemError(422, f"q: {error}.") from error
        told = {"user": asked.user, "q": clean(asked.q), "kept": True, "new": new}
        return JSONResponse(told, 201 if new else 200)

    async def adapt(self, request: Request) -> Response:
        """Make a user's model anew."""
        asked = checked(Adapt, await self._body(request))
        self._spend(asked.user)
        try:
            named = asked.run is not None
            made = await self._changed(asked.run, asked.user, People.adapt, asked.strength, named)
        except NotAdaptableError as error:
            raise ProblemError(409, str(error)) from error
        return JSONResponse({"user": asked.user, "adaptation": asdict(made)})

    async def delete(self, request: Request) -> Response:
        """Forget a user."""
        name = request.scope["raw_path"].partition(b"?")[0].removeprefix(USERS.encode())
        user = checked(Suggest, {"user": decoded(name)}).user
        self._spend(user)
        async with self._locked(user):
            await self._working(self._writing, self._serving.delete, user)
        self._limits.forget(user)
        return Response(status_code=204)

    async def healthz(self, request: Request) -> Response:
        """The service lives."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """The service can answer."""
        runs = {name: place.people.run for name, place in self._serving.places.items()}
        return JSONResponse({"status": "ready", "runs": runs})

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        places = self._serving.places.values()
        text = self.figures.text(
            users_in_memory=sum(len(place.people) for place in places),
            reloads=sum(place.reloads for place in places),
        )
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """What can be asked, for programs."""
        return JSONResponse(document(self._limits.token is not None))

    async def docs(self, request: Request) -> Response:
        """What can be asked, for people."""
        return HTMLResponse(PAGE)

    def counted(self, route: str, handler: Handler) -> Handler:
        """A handler whose answers are counted, and whose errors are problems."""

        async def answer(request: Request) -> Response:
            since, status = time.perf_counter(), 500
            try:
                found = await self._answered(route, handler, request)
                status = found.status_code
                return found
            finally:
                self.figures.add(request.method, route, status, time.perf_counter() - since)

        return answer

    async def _answered(self, route: str, handler: Handler, request: Request) -> Response:
        self._under_way += 1
        try:
            if self._under_way > self._limits.at_once:
                raise ProblemError(503, "too many requests are under way.", {"Retry-After": "1"})
            if not self._limits.takes(request.headers.get("host")):
                raise ProblemError(421, "this service is asked by the names of this machine only.")
            if route not in OPEN and not self._limits.allows(request.headers.get("authorization")):
                raise ProblemError(
                    401, "send the header Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"}
                )
            return await handler(request)
        except ProblemError as error:
            return problem(error.status, error.detail, error.headers)
        except ClientDisconnect:
            return Response(status_code=400)
        except StoreError as error:
            log.error("%s", error)
            return problem(503, "what is kept of this user cannot be read: the service's log says why.")
        except OSError as error:
            log.error("%s: %s", route, error)
            why = "what is kept cannot be read or written at this moment: the service's log says why."
            return problem(503, why, {"Retry-After": "10"})
        finally:
            self._under_way -= 1

    async def _body(self, request: Request) -> Any:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ProblemError(415, "send application/json.")
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > self._limits.body:
                        raise ProblemError(413, f"a request may have {self._limits.body} bytes.")
        except TimeoutError as error:
            raise ProblemError(408, f"it took longer than {self._limits.seconds:g} seconds.") from error
        try:
            return json.loads(body, object_pairs_hook=once)
        except (ValueError, RecursionError) as error:
            raise ProblemError(400, "the body is not JSON, or names something twice.") from error

    def _spend(self, user: str) -> None:
        wait = self._limits.wait(user)
        if wait:
            raise ProblemError(
                429, f"user may ask again in {wait:.2f} s.", {"Retry-After": str(int(wait) + 1)}
            )

    def _place(self, run: str | None) -> Place:
        if run is None:
            return self._serving.first
        if run not in self._serving.places:
            raise ProblemError(404, f"there is no such run here, but {', '.join(self._serving.places)}.")
        return self._serving.places[run]

    async def _alone(self, people: People, user: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something with what is kept of a user while nobody else does, in a thread."""
        async with self._locked(user):
            return await self._working(self._reading, work, people, user, *arguments)

    async def _changed(self, run: str | None, user: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """As `_alone`; all others, also those of a run that comes meanwhile, look at the user anew."""
        place = self._place(run)
        async with self._locked(user):
            people = place.people
            try:
                workers = self._adapting if work is People.adapt else self._writing
                return await self._working(workers, work, people, user, *arguments)
            finally:
                for others in self._serving.people:
                    if others is not people:
                        others.drop(user)

    async def _working(self, workers: Executor, work: Callable[..., Any], *arguments: Any) -> Any:
        """Done in a thread, also if whoever asked goes away."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(workers, work, *arguments))

    def end(self) -> None:
        """Return once nothing is written any more; what has not begun is not done."""
        for workers in (self._reading, self._writing, self._adapting):
            workers.shutdown(wait=True, cancel_futures=True)

    @asynccontextmanager
    async def _locked(self, user: str) -> AsyncIterator[None]:
        """A lock for each user, there as long as somebody needs it."""
        lock, waiting = self._locks.get(user) or (asyncio.Lock(), 0)
        self._locks[user] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks.pop(user)
            if waiting > 1:
                self._locks[user] = (lock, waiting - 1)


def application(answers: Answers) -> Starlette:
    """The service as an ASGI application."""
    routes = [
        ("GET", "/v1/suggest", answers.suggest),
        ("POST", "/v1/observe", answers.observe),
        ("POST", "/v1/adapt", answers.adapt),
        ("DELETE", USERS + "{user:path}", answers.delete),
        ("GET", "/healthz", answers.healthz),
        ("GET", "/readyz", answers.readyz),
        ("GET", "/metrics", answers.metrics),
        ("GET", "/openapi.json", answers.openapi),
        ("GET", "/docs", answers.docs),
    ]

    async def failed(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return problem(500, TITLES[500] + ".")
        answers.figures.add("any", "other", error.status_code, 0.0)
        return problem(error.status_code, TITLES.get(error.status_code, "Error") + ".", error.headers)

    found = Starlette(
        routes=[
            Route(path, answers.counted(path, handler), methods=[method]) for method, path, handler in routes
        ],
        exception_handlers={HTTPException: failed, 500: failed},
    )
    found.router.redirect_slashes = False
    return found
