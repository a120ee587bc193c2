"""The hyper-parameters of a run as a form: bounds, choices and help, read from where they are defined."""

import inspect
import re
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter

from app.runs.settings import PATHS, Settings

WHOLE, REAL, TRUTH, CHOICE, WRITTEN = "whole", "real", "truth", "choice", "written"
"""Kinds of hyper-parameters; WRITTEN ones are typed as `--set` takes them: a list, or a number or a word."""

_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.M)


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter.

    Attributes:
        section: it belongs to, one of `settings.SECTIONS`.
        name: as `--set` has it.
        kind: WHOLE, REAL, TRUTH, CHOICE or WRITTEN.
        value: what it is in the settings.
        low, high: bounds of a number, if there are any.
        above: whether the number must be greater than ``low``.
        choices: words that it can be.
        optional: whether it may have no value at all.
        help: what it means.
    """

    section: str
    name: str
    kind: str
    value: Any
    low: float | None
    high: float | None
    above: bool
    choices: tuple[str, ...]
    optional: bool
    help: str

    def bounds(self) -> str:
        """Its bounds, or its choices, in words."""
        if self.choices and self.kind == WRITTEN:
            return f"a number, or {' or '.join(self.choices)}"
        if self.low is None and self.high is None:
            return ""
        low = "" if self.low is None else f"{'more than' if self.above else 'from'} {self.low:g}"
        high = "" if self.high is None or self.high > 1e12 else f"up to {self.high:g}"
        return " ".join(part for part in (low, high) if part)


def parameters(settings: Settings) -> list[Parameter]:
    """All hyper-parameters that matter to a run and name no file, with the values that they have there."""
    found = []
    for section, part in settings.parts().items():
        known = TypeAdapter(type(part)).json_schema()["properties"]
        told = _attributes(type(part))
        for field in fields(part):
            if field.name not in PATHS:
                value, text = getattr(part, field.name), told.get(field.name, _first_sentence(type(part)))
                found.append(_parameter(section, field.name, value, known[field.name], text))
    return found


def _parameter(section: str, name: str, value: Any, schema: dict[str, Any], text: str) -> Parameter:
    options = schema.get("anyOf", [schema])
    optional = any(option.get("type") == "null" for option in options)
    options = [option for option in options if option.get("type") != "null"]
    numbers = [option for option in options if option.get("type") in ("integer", "number")]
    words = [w for o in options for w in o.get("enum", [o["const"]] if "const" in o else [])]
    bounds = numbers[0] if numbers else {}
    above = "exclusiveMinimum" in bounds
    return Parameter(
        section=section,
        name=name,
        kind=_kind(options, bool(numbers)),
        value=list(value) if isinstance(value, tuple) else value,
        low=bounds.get("exclusiveMinimum" if above else "minimum"),
        high=bounds.get("maximum", bounds.get("exclusiveMaximum")),
        above=above,
        choices=tuple(word for word in words if word not in ("file", "trace")),
        optional=optional,
        help=text,
    )


def _kind(options: list[dict[str, Any]], number: bool) -> str:
    if len(options) > 1:
        return CHOICE if all("enum" in o or "const" in o for o in options) else WRITTEN
    kinds = {"integer": WHOLE, "number": REAL, "boolean": TRUTH}
    if number or options[0].get("type") == "boolean":
        return kinds[options[0]["type"]]
    return CHOICE if "enum" in options[0] else WRITTEN


def _attributes(kind: type) -> dict[str, str]:
    """What the docstrings of a class, and of those it is made from, say of its attributes."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for names, text in _ATTRIBUTE.findall(attributes):
            told |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return told


def _first_sentence(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
