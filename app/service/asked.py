"""What a service can be asked, as it is checked: names, lengths and types; its OpenAPI page comes of it."""

from typing import Annotated, Any, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.service.problems import ProblemError
from data.reading.columns import tidy_name

LONGEST_USER, LONGEST_TEXT, LONGEST_KEY = 200, 1_000, 100
"""Characters."""


def _writable(text: str) -> str:
    """Text that can be written: JSON can hold halves of characters, which no file and no answer can."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character") from error
    return text


Text = Annotated[str, AfterValidator(_writable)]


def _named(text: str) -> str:
    """A name as imported users have it."""
    name = tidy_name(text)
    if not name:
        raise ValueError("nothing can be seen of it")
    return name


User = Annotated[
    Text,
    AfterValidator(_named),
    Field(max_length=LONGEST_USER, description="A name, as in the log; whom nobody knows is new."),
]
Prefix = Annotated[Text, Field(max_length=LONGEST_TEXT, description="What has been typed.")]


Run = Annotated[
    Text, Field(max_length=LONGEST_TEXT, description="One of several runs; by default the first.")
]
Strength = Annotated[float, Field(gt=0, description="How far; by default as the run's own models.")]


class Asked(BaseModel):
    """A question: nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Suggest(Asked):
    """`GET /v1/suggest`."""

    user: User
    q: Prefix = ""
    k: Annotated[int, Field(ge=1, le=100, description="Length of the list.", strict=False)] = 10
    run: Run | None = None


class Observe(Asked):
    """`POST /v1/observe`."""

    user: User
    q: Annotated[Text, Field(min_length=1, max_length=LONGEST_TEXT, description="What was searched.")]
    prefix: Prefix = ""
    key: Annotated[
        Text,
        Field(max_length=LONGEST_KEY, description="Sent again with the same key, a search is kept once."),
    ] = ""


class Adapt(Asked):
    """`POST /v1/adapt`."""

    user: User
    strength: Strength | None = None
    run: Run | None = None


Question = TypeVar("Question", bound=Asked)


def checked(kind: type[Question], given: Any) -> Question:
    """A question, if it is one; else a ProblemError says what is wrong with it."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise ProblemError(422, _sentence(error)) from error


def parsed(content: bytes) -> dict[str, str]:
    """What a query string asks, each thing once."""
    parts = [part.partition(b"=") for part in content.split(b"&") if part]
    pairs = [(decoded(name, plus=True), decoded(value, plus=True)) for name, _, value in parts]
    try:
        return once(pairs)
    except ValueError as error:
        raise ProblemError(422, f"{error}.") from error


def decoded(part: bytes, plus: bool = False) -> str:
    """A part of an address as text; ``plus``: in a query string, where a plus stands for a space."""
    try:
        return unquote_to_bytes(part.replace(b"+", b" ") if plus else part).decode()
    except UnicodeDecodeError as error:
        raise ProblemError(422, "the address holds what is no text.") from error


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs as a dictionary; ValueError if a name stands there twice: programs differ in which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("something is named twice")
    return found


def _sentence(error: ValidationError) -> str:
    """What is wrong, without what was sent."""
    parts = [f"{'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}" for one in error.errors()]
    return "; ".join(parts) + "."
