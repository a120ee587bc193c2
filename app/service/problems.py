"""Answers that are errors, as RFC 9457 has them."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response


class ProblemError(Exception):
    """An answer that is an error: its status, a sentence for people, and further headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.detail, self.headers = status, detail, dict(headers or {})
        super().__init__(detail)


TITLES = {
    400: "The request cannot be understood",
    401: "A token is missing or wrong",
    404: "There is nothing here",
    405: "This cannot be done here",
    408: "The request did not come in time",
    409: "This cannot be learned from",
    421: "This is for another machine",
    413: "The request is too large",
    415: "The body is not JSON",
    422: "Something in the request is wrong",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Not at this moment",
}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as RFC 9457 has it."""
    said = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "detail": detail}
    return JSONResponse(said, status, dict(headers or {}), media_type="application/problem+json")
