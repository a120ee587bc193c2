"""Hundreds of spoiled datasets: reading one raises DataError or succeeds, and never anything else."""

import hashlib
import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.card import card
from data.log_import import import_log
from data.schema import SCHEMAS, DataError
from data.storage import read, write

SEEDS = 60
"""Datasets spoiled by each test below; there are ten."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three users and 36 searches."""
    place = tmp_path_factory.mktemp("small")
    words = ["ls", "less", "last", "grep", "git push", "git pull", "go"]
    lines = [
        f"u{u},{1_600_000_000 + 700 * e},{words[(e * e + u) % 7]},g{u % 2}"
        for u in range(3)
        for e in range(12)
    ]
    (place / "log.csv").write_text("\n".join(["user,time,query,group", *lines]) + "\n")
    write(import_log(place / "log.csv", "user", "time", "query", "group"), place / "data")
    return place / "data"


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "copy"))


def outcome(directory: Path) -> str:
    """Read a dataset and use it; any error but a DataError of one line passes through and fails the test."""
    try:
        card(read(directory, truth=True))
    except DataError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"refused at length: {error}"
    return "accepted"


def spoil_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip bits, cut, repeat or blank a stretch of a file."""
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice([1, 8, 200]))
    kind = draw.choice(["flip", "cut", "repeat", "blank", "short"])
    if kind == "flip":
        flipped = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        return bytes(flipped)
    middle = {"cut": b"", "repeat": 2 * content[start:end], "blank": bytes(end - start)}
    return content[:start] if kind == "short" else content[:start] + middle[kind] + content[end:]


@pytest.mark.parametrize("table", SCHEMAS)
def test_spoiled_bytes(copy: Path, table: str) -> None:
    path = copy / f"{table}.parquet"
    content = path.read_bytes()
    draw = random.Random(table)
    for _ in range(SEEDS):
        spoiled = spoil_bytes(content, draw)
        path.write_bytes(spoiled)
        assert outcome(copy) == ("accepted" if spoiled == content else "refused")


def odd_value(kind: pa.DataType, draw: random.Random) -> Any:
    """A value that fits the column's type, and little else."""
    if pa.types.is_list(kind):
        return [draw.choice([-1, 0, 5, 6, 2**31 - 1]) for _ in range(draw.randrange(4))]
    if pa.types.is_timestamp(kind):
        return draw.choice([0, -(2**62), 2**62, None])
    if pa.types.is_string(kind):
        return draw.choice(["", "\0", "test", "train", "ls", "g", "\U0010ffff", "x" * 10_000, None])
    return draw.choice([0, 1, 2, -1, 10**9, 2**31 - 1, None])


def odd_table(table: pa.Table, draw: random.Random) -> pa.Table:
    """A table with odd cells, or rows or columns taken, doubled, moved, renamed or retyped."""
    kind = draw.choice(
        ["cell", "cell", "cell", "fewer", "twice", "mix", "no column", "rename", "text", "empty"]
    )
    rows = list(range(table.num_rows))
    at = draw.randrange(table.num_columns)
    f = table.schema.field(at)
    if kind == "cell":
        values = table.column(at).to_pylist()
        for _ in range(draw.randint(1, 3)):
            values[draw.choice(rows)] = odd_value(f.type, draw)
        return table.set_column(at, pa.field(f.name, f.type), pa.array(values, f.type))
    if kind == "no column":
        return table.remove_column(at)
    if kind == "rename":
        return table.rename_columns([f"{n}?" if i == at else n for i, n in enumerate(table.column_names)])
    if kind == "text":
        return table.set_column(at, f.name, pa.array(map(str, table.column(at).to_pylist())))
    chosen = {
        "fewer": draw.sample(rows, len(rows) - 1),
        "twice": [*rows, draw.choice(rows)],
        "mix": draw.sample(rows, len(rows)),
        "empty": [],
    }[kind]
    return table.take(pa.array(chosen if kind == "mix" else sorted(chosen), pa.int64()))


@pytest.mark.parametrize("table", SCHEMAS)
def test_odd_tables(copy: Path, table: str) -> None:
    """The checksums agree here, so that nothing but the content can be refused."""
    path, manifest = copy / f"{table}.parquet", json.loads((copy / "manifest.json").read_text())
    whole = pq.read_table(path)
    draw = random.Random(table)
    seen: Counter[str] = Counter()
    for _ in range(SEEDS):
        pq.write_table(odd_table(whole, draw), path)
        manifest["files"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        files = json.dumps(manifest["files"], sort_keys=True).encode()
        manifest["fingerprint"] = hashlib.sha256(files).hexdigest()[:16]
        (copy / "manifest.json").write_text(json.dumps(manifest))
        seen[outcome(copy)] += 1
    assert set(seen) <= {"refused", "accepted"}
    assert seen["refused"] > SEEDS / 2


def test_odd_manifest_values(copy: Path) -> None:
    path = copy / "manifest.json"
    whole = path.read_text()
    draw = random.Random(0)
    for _ in range(SEEDS):
        manifest = json.loads(whole)
        key = draw.choice(sorted(manifest))
        if draw.random() < 0.3:
            del manifest[key]
        else:
            manifest[key] = draw.choice([None, 3, "x", [], {}, True, -0.5, {"a": []}])
        path.write_text(json.dumps(manifest))
        assert outcome(copy) in ("refused", "accepted")


def test_spoiled_manifest_bytes(copy: Path) -> None:
    path = copy / "manifest.json"
    content = path.read_bytes()
    draw = random.Random(1)
    for _ in range(SEEDS):
        path.write_bytes(spoil_bytes(content, draw))
        assert outcome(copy) in ("refused", "accepted")
