"""Hundreds of spoiled logs: reading one raises DataError of one line or succeeds, and never anything else."""

import gzip
import json
import random
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data.schema import DataError

SEEDS = 120
"""Logs of every kind that are spoiled."""

ROWS = [
    {"user": f"u{i % 3}", "time": f"2024-01-{1 + i:02d}T10:00:00Z", "query": f'say "{i}", é\nand more'}
    for i in range(25)
]
CSV = "user,time,query\n" + "".join(
    f'{r["user"]},{r["time"]},"{r["query"].replace(chr(34), chr(34) * 2)}"\n' for r in ROWS
)
LOGS: dict[str, bytes | pa.Table] = {
    "log.csv": CSV.encode(),
    "log.tsv": CSV.replace(",", "\t").encode("utf-16"),
    "log.csv.gz": gzip.compress(CSV.encode()),
    "log.csv.zst": pa.compress(CSV.encode(), "zstd", asbytes=True),
    "log.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "log.json": json.dumps(ROWS, indent=1, ensure_ascii=False).encode(),
    "log.parquet": pa.table({name: [row[name] for row in ROWS] for name in ROWS[0]}),
}


def spoil(content: bytes, draw: random.Random) -> bytes:
    """Flip bits, cut, repeat, blank or replace a stretch of a file."""
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice([1, 1, 8, 200]))
    odd = [b'"', b"\n", b"\r", b",", b"\0", b"\xff", b"{", b"]", b"\\", "٣".encode(), b"-", b"9" * 30, b"e9"]
    middle = draw.choice(
        [b"", 2 * content[start:end], bytes(end - start), draw.choice(odd), draw.choice(odd)]
    )
    return content[:start] + middle + (b"" if draw.random() < 0.1 else content[end:])


def outcome(logs: Any, name: str, content: Any = None, **reading: Any) -> str:
    """Any warning, and any error but a DataError of one line, passes through and fails the test."""
    try:
        with warnings.catch_warnings(action="error"):
            logs.read(name, content, **reading)
    except DataError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"refused at length: {error}"
    return "read"


@pytest.mark.parametrize("name", LOGS)
def test_spoiled_logs(logs: Any, name: str) -> None:
    path: Path = logs.write(name, LOGS[name])
    content = path.read_bytes()
    assert len(logs.read(name).rows) == len(ROWS)
    draw = random.Random(name)
    seen: Counter[str] = Counter()
    for _ in range(SEEDS):
        path.write_bytes(spoil(spoil(content, draw), draw) if draw.random() < 0.3 else spoil(content, draw))
        seen[outcome(logs, name)] += 1
    assert set(seen) <= {"read", "refused"}
    assert seen["refused"] > SEEDS / 10


WHOLE = ["0", "-1", "9" * 18, "9" * 19, "9" * 25, "+1", "٣٤"]
FLOATS = ["1e400", "nan", "inf", "1.", ".5", "1.5e9", "1E+99"]
DATES = ["2024-99-99", "31.31.31", "1/1/1", "24:61", "2024-01-01T", "Feb 30 2024", "2024-01-02"]
CELLS = [*WHOLE, *FLOATS, *DATES, "", " ", "\0", "--", "a" * 200]


@pytest.mark.parametrize(
    "reading", [{}, {"any_time": True}, {"day_first": True}, {"time_format": "%Y-%m-%d"}]
)
def test_odd_times(logs: Any, reading: dict[str, Any]) -> None:
    draw = random.Random(0)
    for _ in range(150):
        texts = tuple(draw.choice(CELLS) for _ in range(draw.randint(1, 3)))
        assert outcome(
            logs, "log.csv", "user,time,query\n" + "".join(f"u,{text},q\n" for text in texts), **reading
        ) in ("read", "refused")
