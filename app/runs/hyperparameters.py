"""Hyper-parameters as values: which a part has, whether they are of the right kind, and how they are told."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError


def exactly(kind: type, values: Mapping[str, Any]) -> Any:
    """Hyper-parameters of values that are of the kind asked for: no truth value or text is a number.

    Raises:
        ValidationError: one is not.
    """
    return TypeAdapter(kind).validate_json(json.dumps(values, default=str), strict=True)


def values_of(part: Any) -> dict[str, Any]:
    """Those of a part by name, but for those that are left out."""
    found = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in found.items() if v is not None}


def defaults_of(kind: type) -> dict[str, Any]:
    """Of a part's kind, by name, those that have one."""
    found = {f.name: f.default for f in dataclasses.fields(kind)}
    return {name: value for name, value in found.items() if value is not dataclasses.MISSING}


def written(value: Any) -> str:
    """A value as messages show it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def told(value: Any) -> str:
    """A value in a sentence; None is where a hyper-parameter is left out."""
    return "none" if value is None else str(value)


def what_is_wrong(section: str, values: Mapping[str, Any], error: ValidationError) -> str:
    """What is wrong with hyper-parameters that were given."""
    problem, *others = error.errors()
    at = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "missing":
        return f"{section} needs {at}: write {at}=…."
    named = f"{section}.{at} = {written(values[at])}" if at in values else section
    words = [o["ctx"]["expected"] for o in others if (o["type"], o["loc"][0]) == ("literal_error", at)]
    return f"{named}: {' or '.join([problem['msg'].removeprefix('Value error, '), *words])}."


def section_of(key: str) -> str:
    """The section that the name of a hyper-parameter begins with; empty where it has none."""
    return key.rpartition(".")[0]
