"""Delimited logs: delimiters, quotes, encodings and compression; what is uncertain is refused by its line."""

import bz2
import gzip
import lzma
from typing import Any

import pyarrow as pa
import pytest

HEAD = "user,time,query\n"
PLAIN = HEAD + "ann,2024-01-02,git status\nbob,2024-01-03,ls\n"
ROWS = [("ann", "2024-01-02", "git status"), ("bob", "2024-01-03", "ls")]


def day(number: int) -> str:
    return f"2024-0{1 + number // 28}-{1 + number % 28:02d}"


# Lines


def test_lines_are_those_of_an_editor(logs: Any) -> None:
    start = f'\n\nuser,time,query\n\nann,{day(0)},"two\nlines"\n   \nbob,{day(1)},ls\n'
    assert logs.read("log.csv", start).queries == ["two lines", "ls"]
    assert logs.refusal("log.csv", start + "cyd,soon,cd\n").startswith(
        "log.csv, line 9, column 'time': 'soon'"
    )
    assert logs.refusal("log.csv", start + "cyd,2024-01-01\n").startswith("log.csv, line 9: it has 2 fields")
    crlf = start.replace("\n", "\r\n")
    assert logs.refusal("log.csv", crlf + "cyd,soon,cd\r\n").startswith("log.csv, line 9, column 'time'")
    assert logs.refusal("log.csv", "\ufeff" + start.replace("\n", "\r") + "cyd,soon,cd").startswith(
        "log.csv, line 9, column 'time'"
    )


def test_lines_in_later_chunks(logs: Any) -> None:
    rows = "".join(f"u{i % 7},{1_700_000_000 + i},q\n" for i in range(70_000))
    assert logs.refusal("log.csv", HEAD + 'a,1700000000,"x\ny"\n' + rows + "a,b\n").startswith(
        "log.csv, line 70004: it has 2 fields, the header has 3"
    )
    assert "line 70004, column 'time': 'b' is not a time" in logs.refusal(
        "log.csv", HEAD + 'a,1700000000,"x\ny"\n' + rows + "a,b,c\n"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=ascii)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64])
def test_lines_across_pieces_of_the_file(logs: Any, monkeypatch: Any, end: str, size: int) -> None:
    monkeypatch.setattr("data.reading.text_files.BLOCK", size)
    text = f'user,time,query\n\nann,{day(0)},"é\n\nü"\nbob,{day(1)},ls\n'.replace("\n", end)
    assert logs.read("log.csv", text).queries == ["é ü", "ls"]
    assert "line 7, column 'time': 'soon'" in logs.refusal("log.csv", text + "cyd,soon,cd")
    assert logs.refusal("log.csv", (text + "cyd,é").encode() + b"\xff" + end.encode()).startswith(
        "log.csv, line 7, character 6: the byte 0xFF"
    )


COUNTS = {
    "R": (
        "1,ann,2024-01-02,ls\n2,bob,2024-01-03,cd\n",
        "line 2: it has 4 fields, the header has 3: so has every",
    ),
    "comma behind": (
        "ann,2024-01-02,ls,\nbob,2024-01-03,cd,\n",
        "every row ends in a comma and the header does",
    ),
    "footer": (
        "ann,2024-01-02,ls\n\n(2 rows)\n",
        "line 4: it has 1 field, the header has 3: it seems to be a footer",
    ),
    "footer of several lines": (
        "ann,2024-01-02,ls\nTotal,1\nexported\n",
        "line 3: it has 2 fields, the header has 3: it se",
    ),
    "cut off": (
        "ann,2024-01-02,ls\nbob,2024-0",
        "line 3: it has 2 fields, the header has 3: the file seems to be cut",
    ),
    "short row": (
        "ann,2024-01-02\nbob,2024-01-03,cd\n",
        "line 2: it has 2 fields, the header has 3: a field that holds",
    ),
    "comma inside all": (
        "ann,2024-01-02,ls, a\nann,2024-01-03,cd, ls\n",
        "line 2: it has 4 fields, the header has 3: a field",
    ),
    "comma inside one": ("ann,2024-01-02,ls, a\n", "line 2: it has 4 fields, the header has 3: a field"),
    "comma inside": (
        "ann,2024-01-02,ls\nbob,2024-01-03,cd, ls\n",
        "line 3: it has 4 fields, the header has 3: a field",
    ),
    "backslash": ('ann,2024-01-02,"a \\",b"\nbob,2024-01-03,cd\n', 'written twice ("" and not \\").'),
    "backslash that never closes": (
        'ann,2024-01-02,"a\\""\nbob,2024-01-03,cd\n',
        'twice ("" and not \\"), or',
    ),
}


@pytest.mark.parametrize(("rows", "part"), COUNTS.values(), ids=COUNTS)
def test_why_a_row_has_another_number_of_fields(logs: Any, rows: str, part: str) -> None:
    assert part in logs.refusal("log.csv", HEAD + rows)


@pytest.mark.parametrize("name", ["log.csv", "log.txt", "log.tsv.gz"])
@pytest.mark.parametrize(
    "content", ['{"user": 1, "time": 2, "query": 3}\n', '[{"user": 1}]', '[\n  {"user": 1}\n]']
)
def test_json_of_another_name(logs: Any, name: str, content: str) -> None:
    packed = gzip.compress(content.encode()) if name.endswith(".gz") else content
    assert (
        logs.refusal(name, packed)
        == f"{name} holds JSON and no delimited text: give its name the ending .jsonl."
    )


# Delimiters and headers


@pytest.mark.parametrize(
    ("name", "delimiter"), [("log.csv", ";"), ("log.csv", "\t"), ("log.tsv", "\t"), ("log.txt", "|")]
)
def test_delimiters(logs: Any, name: str, delimiter: str) -> None:
    assert logs.read(name, PLAIN.replace(",", delimiter)).rows == ROWS
    with_comma = PLAIN.replace(",", delimiter).replace("git status", "git, status")
    assert logs.read(name, with_comma).queries == ["git, status", "ls"]


def test_a_spreadsheets_first_line(logs: Any) -> None:
    assert logs.read("log.csv", "sep=;\r\n" + PLAIN.replace(",", ";")).rows == ROWS
    assert "line 4, column 'time'" in logs.refusal(
        "log.csv", "sep=;\nuser;time;query\na;2024-01-01;x\nb;soon;x\n"
    )


def test_headers(logs: Any) -> None:
    assert logs.read("log.csv", PLAIN.replace("user,time", " user , time ")).rows == ROWS
    message = logs.refusal("log.csv", PLAIN.replace("query", "Query"))
    assert (
        message
        == "log.csv has no column 'query' (did you mean 'Query'?); its columns are: user, time, Query."
    )
    assert "has the column 'time' twice" in logs.refusal("log.csv", "user,time,time,query\na,1,2,x\n")
    assert logs.read("log.csv", "user,x,x,time,query\nann,1,2,2024-01-02,git status\n").rows == ROWS[:1]
    assert logs.refusal("log.csv", 'user,time,"query\na,2024-01-01,x\n').startswith(
        "log.csv: the header cannot be read"
    )
    quoted = PLAIN.replace("user,time,query", '"user","time","query"')
    assert logs.read("log.csv", quoted).rows == ROWS
    assert "did you mean 'user'" in logs.refusal("log.csv", quoted, ("User", "time", "query"))
    assert logs.refusal("log.csv", "").endswith("log.csv is empty.")
    assert "a header but no rows" in logs.refusal("log.csv", HEAD)


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(logs: Any, encoding: str) -> None:
    content = PLAIN.replace("ls", "é 日本 😀").encode(encoding)
    assert logs.read("log.csv", content).rows == [ROWS[0], ("bob", "2024-01-03", "é 日本 😀")]


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "utf-16-le", "utf-16-be", "cp437", "utf-8"])
def test_an_encoding_that_is_given_is_obeyed(logs: Any, encoding: str) -> None:
    content = PLAIN.replace("ls", "café").encode(encoding)
    if encoding != "utf-8":
        assert "--encoding" in logs.refusal("log.csv", content)
    assert logs.read("log.csv", content, encoding=encoding).queries == ["git status", "café"]
    assert logs.read("log.csv", ("\ufeff" + PLAIN).encode("utf-8"), encoding="utf-8").rows == ROWS


@pytest.mark.parametrize("before", [0, 4000, 90_000])
def test_a_byte_that_is_no_text_is_named_by_line(logs: Any, before: int) -> None:
    rows = f"a,{day(0)},x\n".encode() * before
    message = logs.refusal(
        "log.csv", HEAD.encode() + rows + f"b,{day(0)},caf".encode() + b"\xe9!\nc,soon,x\n"
    )
    assert message.startswith(f"log.csv, line {before + 2}, character 17: the byte 0xE9 is not UTF-8")
    assert "--encoding windows-1252" in message


def test_other_trouble_with_bytes(logs: Any) -> None:
    assert "UTF-16 without a byte order mark: add --encoding utf-16-le" in logs.refusal(
        "log.csv", PLAIN.encode("utf-16-le")
    )
    assert "ends in the middle of a character" in logs.refusal(
        "log.csv", (HEAD + "a,2024-01-01,é").encode()[:-1]
    )
    wrong = logs.refusal("log.csv", b"user,time,query\na,2024-01-01,\x81\n", encoding="windows-1252")
    assert "line 2, character 14: the byte 0x81 is not WINDOWS-1252" in wrong


# Compression

PACK: dict[str, Any] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "LOG.TXT"])
def test_compression(logs: Any, suffix: str, name: str) -> None:
    text = PLAIN.replace(",", "\t") if name == "log.tsv" else PLAIN
    packed = PACK[suffix](text.encode())
    assert logs.read(name + suffix, packed).rows == ROWS
    assert logs.read(name + suffix.upper(), packed + packed[:0]).rows == ROWS
    cut = logs.refusal(name + suffix, PACK[suffix](text.encode() * 500)[:-12])
    assert cut.startswith(f"{name}{suffix} is ")
    assert "damaged" in cut
    assert f"{name}{suffix} is not" in logs.refusal(name + suffix, text) or suffix == ".xz"
    assert f"give its name the ending {suffix}" in logs.refusal(name, packed)


@pytest.mark.parametrize("outer", PACK)
def test_files_that_are_compressed_twice(logs: Any, outer: str) -> None:
    twice = PACK[outer](gzip.compress(PLAIN.encode()))
    name = f"log.csv{outer}"
    assert (
        logs.refusal(name, twice) == f"{name} is compressed twice: inside is gzip-compressed data; unpack it."
    )
    assert "is compressed twice" in logs.refusal(name, encoding="latin-1")
    assert "and inside is a zip archive" in logs.refusal(name, PACK[outer](b"PK\x03\x04"))


def test_other_files(logs: Any) -> None:
    assert "a zip archive or a spreadsheet" in logs.refusal("log.csv", b"PK\x03\x04 and more")
    assert "give its name the ending .parquet" in logs.refusal("log.csv", b"PAR1 and more")
    assert "does not exist" in logs.refusal("none.csv")
    (logs.place / "folder").mkdir()
    assert "is a folder without a .parquet file" in logs.refusal("folder")
    logs.write("folder/log.csv", PLAIN)
    assert "folder holds log.csv: of folders only those of .parquet files are read" in logs.refusal("folder")
