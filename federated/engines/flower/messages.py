"""Our contents as Flower's records, and back. No pickle is read: numbers are numpy's, all else is JSON."""

import json
import math
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from federated.engines.messages import Content

ARRAYS, PLAIN, KIND = "arrays", "plain", "kind"
NUMBERS = frozenset("fiub")
"""Kinds of numpy types that are read: floats, whole numbers, and truth values."""


def packed(kind: str, content: Content) -> RecordDict:
    """A content as records."""
    arrays = {name: FlowerArray(np.ascontiguousarray(array)) for name, array in content.arrays.items()}
    plain = json.dumps(dict(content.plain), allow_nan=False)
    return RecordDict({ARRAYS: ArrayRecord(arrays), PLAIN: ConfigRecord({KIND: kind, PLAIN: plain})})


def unpacked(records: RecordDict) -> tuple[str, Content]:
    """The kind and the content of records from somebody who need not be trusted.

    Raises:
        ValueError: they are not what `packed` makes.
    """
    try:
        config = records.config_records[PLAIN]
        plain: Any = json.loads(str(config[PLAIN]), parse_constant=_refused, parse_float=_finite)
        arrays = {name: array.numpy() for name, array in records.array_records[ARRAYS].items()}
    except (KeyError, TypeError, ValueError, RecursionError, EOFError) as error:
        raise ValueError("a message of another make") from error
    if not isinstance(plain, dict) or any(array.dtype.kind not in NUMBERS for array in arrays.values()):
        raise ValueError("a message of another make")
    return str(config[KIND]), Content(plain, arrays)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refused(digits)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")
