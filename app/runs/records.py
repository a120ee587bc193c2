"""What runs write down of themselves, read strictly: summaries, and the lines of metrics files.

Whoever edits these files by hand, or loses half of one, is told where they are wrong, before any figure is
made of them. Keys that are not known here are let through.
"""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

LARGEST = 10**15
"""No figure of a run is larger; sums and means of some stay finite."""

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Infinite = float | Literal["inf"]


class Record(BaseModel):
    """Values of just these types: no text or truth value is a number."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Staleness(Record):
    """How many versions updates were behind."""

    mean: Number
    max: Count


class Kept(Record):
    """Which model was kept."""

    asked: str
    which: Literal["last", "best"]
    updates: Count
    nmrr: Number | None


class Asked(Record):
    """The loss on validation slates of one candidate for own models."""

    value: Infinite
    loss: Infinite


class OwnModels(Record):
    """How far own models go, and why."""

    setting: str
    value: float | str
    losses: list[Asked]
    users_asked: Count
    nobody: bool
    kept_common: Count | None


class Said(Record):
    """A warning or a note."""

    kind: str
    ranking: str
    message: str


class Summary(Record):
    """What `train` prints; what older versions did not write may be missing."""

    algorithm: str
    ranker: str
    loss: str
    seed: int
    finished: bool = True
    updates: Count
    refused: dict[str, Count]
    seconds: Number
    updates_per_second: Number
    virtual_time: Number
    staleness: Staleness
    concurrency: Count
    network: dict[str, float] | None = None
    kept: Kept | None = None
    own_models: OwnModels | None = None
    validation_nmrr: dict[str, Number]
    warnings: list[Said]
    notes: list[Said]
    phases: dict[str, Number] = {}


class Merged(Record):
    """Some updates have been merged."""

    event: Literal["merged"]
    updates: Count
    time: Number
    staleness: list[Count]
    network: dict[str, float] | None = None


class Metrics(Record):
    """What was seen; losses may be of any size."""

    nmrr: Number = 0.0
    __pydantic_extra__: dict[str, float] = Field(init=False)


class Evaluated(Record):
    """The model was looked at."""

    event: Literal["evaluated"]
    updates: Count
    metrics: Metrics


EVENT: TypeAdapter[Merged | Evaluated] = TypeAdapter(
    Annotated[Merged | Evaluated, Field(discriminator="event")]
)


def summary(content: bytes) -> dict[str, Any]:
    """A run's summary.

    Raises:
        ValueError: it is damaged; the message says where.
    """
    return _checked(content, TypeAdapter(Summary))


def events(content: bytes) -> list[dict[str, Any]]:
    """The lines of a run's metrics file.

    Raises:
        ValueError: one of them is damaged; the message says which, and where.
    """
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            found.append(_checked(line, EVENT))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return found


def _checked(content: bytes, kind: TypeAdapter[Any]) -> dict[str, Any]:
    """A JSON object that is of this kind."""
    try:
        value: dict[str, Any] = json.loads(content, parse_constant=_refused, parse_float=_finite)
        kind.validate_python(value)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError("it is no JSON") from error
    return value


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refused(digits)


def _sentence(error: ValidationError) -> str:
    """What is wrong, where: the first of all problems."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    at = ".".join(map(str, problem["loc"]))
    what = problem["msg"][0].lower() + problem["msg"][1:]
    if problem["type"] == "missing":
        return f"it has no {at!r}"
    return f"{at!r} is wrong: {what}" if at else what
