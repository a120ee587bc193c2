"""The data format: what is written is read again, and what is wrong is named by file, column or row."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.schema import SCHEMAS, DataError, Dataset
from data.simulator import simulate
from data.storage import read, sha256, write
from data.validation import validate


def changed(dataset: Dataset, table: str, name: str, change: Callable[[list[Any]], object]) -> Dataset:
    """The dataset with one column changed in place by ``change``."""
    old = getattr(dataset, table)
    values = old.column(name).to_pylist()
    change(values)
    kind = pa.field(name, old.schema.field(name).type)
    new = old.set_column(old.schema.get_field_index(name), kind, pa.array(values, kind.type))
    return replace(dataset, **{table: new})


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A dataset directory to spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def test_round_trip(tiny: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    written = write(tiny_dataset, tmp_path / "deep" / "again")
    again = read(tmp_path / "deep" / "again", truth=True)
    for name in SCHEMAS:
        assert getattr(again, name).equals(getattr(tiny_dataset, name))
        assert getattr(again, name).schema == SCHEMAS[name]
    assert {n: t.to_pydict() for n, t in again.truth.items()} == {
        n: t.to_pydict() for n, t in tiny_dataset.truth.items()
    }
    assert again.manifest == written.manifest
    assert again.fingerprint == written.fingerprint == tiny_dataset.fingerprint != ""
    assert contents(tmp_path / "deep" / "again") == contents(tiny)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["again"], "nothing half-written is left"


def test_fingerprint_follows_the_tables(tiny_dataset: Dataset, tmp_path: Path) -> None:
    other = changed(tiny_dataset, "users", "name", lambda v: v.__setitem__(3, "somebody else"))
    assert write(other, tmp_path / "other").fingerprint != tiny_dataset.fingerprint


def test_an_empty_directory_is_filled(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tiny_dataset, tmp_path / "out")
    assert read(tmp_path / "out").fingerprint == tiny_dataset.fingerprint


@pytest.mark.parametrize("kind", ["dataset", "other files", "file"])
def test_what_exists_is_refused_and_left_alone(copy: Path, tiny_dataset: Dataset, kind: str) -> None:
    if kind == "other files":
        shutil.rmtree(copy)
        copy.mkdir()
        (copy / "thesis.tex").write_text("years of work")
    elif kind == "file":
        shutil.rmtree(copy)
        copy.write_text("years of work")
    copy.with_name("copy.partial").mkdir()
    (copy.with_name("copy.partial") / "notes").write_text("of somebody else")
    before = contents(copy.parent)
    with pytest.raises(DataError, match="exists and is not an empty directory: choose another --out"):
        write(tiny_dataset, copy)
    assert contents(copy.parent) == before


def test_nothing_invalid_is_written(tiny_dataset: Dataset, tmp_path: Path) -> None:
    wrong = changed(tiny_dataset, "events", "user_id", lambda v: v.__setitem__(0, 99))
    with pytest.raises(DataError, match="user_id 99 does not exist"):
        write(wrong, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def swap(values: list[Any]) -> None:
    values[4], values[5] = values[5], values[4]


def put(row: int, value: object) -> Callable[[list[Any]], object]:
    return lambda values: values.__setitem__(row, value)


WRONG: dict[str, tuple[str, str, Callable[[list[Any]], object], str]] = {
    "twice in pool": ("slates", "pool", lambda v: v[7].append(v[7][0]), "row 7 has the candidate '.*' twice"),
    "twice wanted": ("slates", "reference", lambda v: v[9].insert(0, v[9][1]), "row 9 has .* its reference"),
    "no reference": ("slates", "reference", put(11, []), "row 11 has an empty reference"),
    "no prefix": ("slates", "prefix", put(12, ""), "row 12 has an empty prefix"),
    "wrong prefix": ("slates", "prefix", put(13, "~"), "row 13: '.*' does not start with '~'"),
    "unknown event": ("slates", "event_id", put(3, 10**9), "event_id 1000000000 does not exist"),
    "unknown candidate": ("slates", "pool", put(3, [-1]), "slates: pool -1 does not exist"),
    "unknown wish": ("slates", "reference", put(3, [10**8]), "slates: reference 100000000 does not exist"),
    "unknown query": ("events", "query_id", put(3, -7), "events: query_id -7 does not exist"),
    "time backwards": ("events", "timestamp", swap, "row 5 is out of order"),
    "user backwards": ("events", "user_id", put(2, 5), "row 3 is out of order"),
    "split backwards": ("events", "split", put(0, "test"), "training events must come before validation"),
    "unknown split": ("events", "split", put(6, "dev"), "row 6 has the unknown split 'dev'"),
    "no training": (
        "events",
        "split",
        lambda v: v.__setitem__(slice(60), 60 * ["test"]),
        "user 0 has no event in the split",
    ),
    "negative count": ("queries", "public_count", put(9, -1), "public_count .* cannot be negative"),
    "ids out of order": ("queries", "query_id", swap, "query_id must count 0, 1, 2"),
    "slates out of order": ("slates", "slate_id", swap, "slate_id must count 0, 1, 2"),
    "empty value": ("users", "name", put(1, None), "'?name'? "),
}


@pytest.mark.parametrize(("table", "column", "change", "message"), WRONG.values(), ids=WRONG)
def test_impossible_content_is_named(
    tiny_dataset: Dataset, table: str, column: str, change: Callable[[list[Any]], object], message: str
) -> None:
    with pytest.raises(DataError, match=f"{table}.*{message}|{message}"):
        validate(changed(tiny_dataset, table, column, change))


UNFIT: dict[str, Callable[[list[list[float]]], object]] = {
    "a slate less": lambda rows: rows.pop(),
    "a candidate less": lambda rows: rows[3].pop(),
    "not a number": lambda rows: rows[5].__setitem__(0, float("nan")),
}


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_truth_that_does_not_fit(tiny_dataset: Dataset, change: Callable[[Any], object]) -> None:
    utilities = tiny_dataset.truth["utilities"]
    rows = utilities.column("utility").to_pylist()
    change(rows)
    wrong = pa.table([range(len(rows)), rows], schema=utilities.schema)
    with pytest.raises(DataError, match="truth/utilities: "):
        validate(replace(tiny_dataset, truth={**tiny_dataset.truth, "utilities": wrong}))


def test_users_need_three_events(tiny_dataset: Dataset) -> None:
    names = [*tiny_dataset.users.column("name").to_pylist(), "new"]
    users = pa.table([range(21), names], schema=SCHEMAS["users"])
    with pytest.raises(DataError, match=r"user 20 has 0 event\(s\): at least 3 are needed"):
        validate(replace(tiny_dataset, users=users))


@pytest.mark.parametrize("table", SCHEMAS)
def test_empty_tables(tiny_dataset: Dataset, table: str) -> None:
    empty = replace(tiny_dataset, **{table: getattr(tiny_dataset, table).slice(0, 0)})
    with pytest.raises(DataError, match=f"{table} is empty"):
        validate(empty)


def test_missing_and_extra_columns_are_named(copy: Path) -> None:
    path = copy / "events.parquet"
    table = pq.read_table(path).drop_columns(["session_id", "split"])
    pq.write_table(table.append_column("colour", pa.array(["red"] * table.num_rows)), path)
    with pytest.raises(
        DataError, match=r"events\.parquet lacks .* session_id, split and has the unexpected column.* colour"
    ):
        read(copy)


def test_a_column_of_another_type_is_named(copy: Path) -> None:
    table = pq.read_table(copy / "users.parquet")
    wrong = table.set_column(0, "user_id", pa.array(["zero"] * table.num_rows))
    pq.write_table(wrong, copy / "users.parquet")
    with pytest.raises(DataError, match=r"users\.parquet: .*zero"):
        read(copy)


@pytest.mark.parametrize("name", ["users.parquet", "slates.parquet", "truth/utilities.parquet"])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_damaged_files_are_caught(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "bit" else content[:-9])
    with pytest.raises(DataError, match=path.name):
        read(copy, truth=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it has no manifest.json"),
        ("{", "cannot be read"),
        ("[]", "is not the manifest of a PersaRank dataset"),
        ('{"format": "other"}', "is not the manifest of a PersaRank dataset"),
        ('{"format": "persarank-dataset", "version": 99}', "has version 99: this program reads version 1"),
        (
            '{"format": "persarank-dataset", "version": 1, "files": {"users.parquet": 3}}',
            "is damaged",
        ),
    ],
)
def test_manifests(copy: Path, content: str | None, message: str) -> None:
    (copy / "manifest.json").unlink()
    if content is not None:
        (copy / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read(copy)


def test_the_manifest_tells_rows_and_checksums(tiny: Path, tiny_dataset: Dataset) -> None:
    files = json.loads((tiny / "manifest.json").read_text())["files"]
    assert files["events.parquet"]["rows"] == tiny_dataset.events.num_rows
    assert set(files) == {n for n in contents(tiny) if n != "manifest.json"}


def edited_manifest(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["users", "queries", "events", "slates"])
def test_a_table_of_another_dataset_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    """Not by its content, which may fit: by its checksum."""
    write(simulate(users=20, seed=0), tmp_path / "other")
    table = pq.read_table(tmp_path / "other" / f"{name}.parquet")
    pq.write_table(table, copy / f"{name}.parquet", compression="none")  # equal rows, other bytes
    with pytest.raises(DataError, match=rf"{name}\.parquet has changed since it was written"):
        read(copy)


def test_all_tables_of_another_dataset_under_an_old_manifest_are_refused(copy: Path, tmp_path: Path) -> None:
    write(simulate(users=20, seed=1), tmp_path / "other")
    for path in (tmp_path / "other").glob("*.parquet"):
        shutil.copy(path, copy / path.name)
    with pytest.raises(DataError, match=r"copy/.*\.parquet has changed since it was written"):
        read(copy)


def test_the_truth_is_checked_where_it_is_read(copy: Path, tmp_path: Path) -> None:
    truth = copy / "truth" / "weights.parquet"
    pq.write_table(pq.read_table(truth), truth, compression="none")
    assert read(copy).truth == {}
    with pytest.raises(DataError, match=r"truth/weights\.parquet has changed"):
        read(copy, truth=True)


def test_a_truth_that_is_not_listed_is_not_believed(
    copy: Path, tmp_path: Path, tiny_dataset: Dataset
) -> None:
    """As where the truth of a simulation was copied beside the tables of a log."""
    write(replace(tiny_dataset, truth={}), tmp_path / "log")
    shutil.copytree(copy / "truth", tmp_path / "log" / "truth")
    assert read(tmp_path / "log", truth=True).truth == {}


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another fingerprint": lambda m: m.update(fingerprint="0123456789abcdef"),
    "no fingerprint": lambda m: m.pop("fingerprint"),
    "more rows": lambda m: m["files"]["users.parquet"].update(rows=21),
    "no truth": lambda m: [m["files"].pop(f"truth/{name}.parquet") for name in ("weights", "utilities")],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_manifest_that_was_edited_is_refused(copy: Path, change: Callable[[Any], object]) -> None:
    edited_manifest(copy, change)
    with pytest.raises(DataError, match=r"manifest\.json has changed since it was written"):
        read(copy)


def test_a_checksum_that_was_adapted_to_another_table_is_refused(copy: Path) -> None:
    path = copy / "users.parquet"
    pq.write_table(pq.read_table(path), path, compression="none")
    edited_manifest(copy, lambda m: m["files"]["users.parquet"].update(sha256=sha256(path)))
    with pytest.raises(DataError, match=r"manifest\.json has changed since it was written"):
        read(copy)
