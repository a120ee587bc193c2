"""Delimited logs: delimiters, quotes, encodings and compression; what is uncertain is refused by its line."""

import bz2
import gzip
import lzma
import time
from typing import Any

import pyarrow as pa
import pytest

HEAD = "user,time,query\n"
PLAIN = HEAD + "ann,2024-01-02,git status\nbob,2024-01-03,ls\n"
ROWS = [("ann", "2024-01-02", "git status"), ("bob", "2024-01-03", "ls")]


def day(number: int) -> str:
    return f"2024-0{1 + number // 28}-{1 + number % 28:02d}"


# Quotes

QUOTED: dict[str, tuple[str, str]] = {
    "delimiter": ('"ls, then cd"', "ls, then cd"),
    "doubled": ('"say ""hi"" twice"', 'say "hi" twice'),
    "only quotes": ('""""', '"'),
    "line break": ('"first\nsecond"', "first second"),
    "Windows line break": ('"first\r\nsecond"', "first second"),
    "several lines with the delimiter": (
        '"select a, b\nfrom c, d\nwhere e"',
        "select a, b from c, d where e",
    ),
    "in the middle": ('grep "a b" c', 'grep "a b" c'),
    "backslash at the end": ('"dir C:\\"', "dir C:\\"),
    "backslash": ("echo \\n", "echo \\n"),
    "empty lines inside": ('"a\n\n\nb"', "a b"),
}


@pytest.mark.parametrize(("cell", "query"), QUOTED.values(), ids=QUOTED)
@pytest.mark.parametrize("order", ["user,time,query", "query,time,user", "time,query,user"])
def test_quotes_that_are_right(logs: Any, cell: str, query: str, order: str) -> None:
    lines = [order]
    for user, moment, text in [("ann", day(0), "ls"), ("bob", day(1), cell), ("cyd", day(2), "cd")]:
        lines.append(",".join({"user": user, "time": moment, "query": text}[n] for n in order.split(",")))
    assert logs.read("log.csv", "\n".join(lines) + "\n").rows == [
        ("ann", day(0), "ls"),
        ("bob", day(1), query),
        ("cyd", day(2), "cd"),
    ]


@pytest.mark.parametrize("rows", [3, 40, 5000], ids=lambda n: f"{n} rows")
def test_a_quote_that_is_never_closed(logs: Any, rows: int) -> None:
    lines = [f"u,{day(i % 100)},q{i}" for i in range(rows)]
    lines[1] = f'u,{day(1)},"git commit -m fix'
    message = logs.refusal("log.csv", HEAD + "\n".join(lines) + "\n")
    assert message.startswith("log.csv, line 3: a quote opens here that is never closed")
    assert "--no-quotes" in message
    read = logs.read("log.csv", quotes=False)
    assert len(read.rows) == rows
    assert '"git commit -m fix' in read.queries


@pytest.mark.parametrize("closes", [4, 5, 14])
@pytest.mark.parametrize("order", ["user,time,query", "user,query,time"])
def test_a_quote_that_closes_rows_later(logs: Any, closes: int, order: str) -> None:
    """The line that closes it ends with a quote: every field is well-formed, and rows would vanish."""

    def row(number: int, query: str) -> str:
        cells = {"user": f"u{number}", "time": day(number), "query": query}
        return ",".join(cells[name] for name in order.split(","))

    lines = [order, *(row(i, f"q{i}") for i in range(20))]
    lines[2] = row(1, '"one')
    lines[closes - 1] = row(closes - 2, f'q{closes}"')
    message = logs.refusal("log.csv", "\n".join(lines) + "\n")
    assert message.startswith(
        f"log.csv, line 3: a quote opens here and closes only on line {closes}, with the row of line 4 inside"
    )
    assert len(logs.read("log.csv", quotes=False).rows) == 20


def test_a_quoted_time_that_swallows_a_row(logs: Any) -> None:
    rows = f'ann,{day(0)},ls\nbob,"{day(1)},cd\ncyd,{day(2)}",ls\ndan,{day(3)},cd\n'
    assert logs.refusal("log.csv", HEAD + rows).startswith(
        "log.csv, line 3: a quote opens here and closes only on line 4, with the row of line 4 inside"
    )


OTHERWISE = {
    "no fraction": (["2024-03-10T10:00:00.120000", "2024-03-10T10:00:01.120000"], "2024-03-10T10:00:02"),
    "a number without fraction": (["1705000000.25", "1705000001.5"], "1705000002"),
    "a date alone": (["2024-03-10 23:59:58", "2024-03-10 23:59:59"], "2024-03-11"),
    "another zone": (["2024-03-10T10:00:00+01:00", "2024-03-10T10:00:01+01:00"], "2024-03-10T09:00:02Z"),
    "no seconds": (["10.03.2024 10:00:00", "13.03.2024 10:00:01"], "14.3.2024 10:01"),
    "milliseconds": (["1705000000", "1705000001"], "1705000002000"),
    "a longer month": (["10 Mar 2024 10:00", "11 Mar 2024 10:00"], "2 September 2023"),
    "month first": (["Mar 10, 2024", "Mar 11, 2024"], "May 2 2024"),
    "a web server's": (["[10/Mar/2024:13:55:36 -0700]", "[11/Mar/2024:13:55:36 -0700]"], "12/Mar/2024"),
}


@pytest.mark.parametrize(("times", "inner"), OTHERWISE.values(), ids=OTHERWISE)
@pytest.mark.parametrize("query", ["ls", "ls; cd; pwd"])
def test_a_row_whose_time_is_written_otherwise_is_not_swallowed(
    logs: Any, times: list[str], inner: str, query: str
) -> None:
    """Also one that has more fields, a delimiter in its query not being quoted."""
    rows = f'a;{times[0]};x\nb;{times[1]};"open\nc;{inner};{query}\nd;{times[0]};shut"\ne;{times[1]};y\n'
    message = logs.refusal("log.csv", "user;time;query\n" + rows)
    assert message.startswith(
        "log.csv, line 3: a quote opens here and closes only on line 5, with the row of line 4 inside"
    )
    assert "copy of a row, write it on one line" in message


@pytest.mark.parametrize("moment", ["1705000000", "2024-01-02", "2 Jan 2024", "02.01.2024 10:00"])
@pytest.mark.parametrize(
    "line",
    ["select a, b, c", "where x, 12, y", "1, 2.5, 3", "maya, mayor 1, jan", "v, 1.2, z", "a,b,c,d,10:30"],
)
def test_lines_with_delimiters_and_no_time_are_text(logs: Any, moment: str, line: str) -> None:
    """As many fields as the header, or more, are no row yet."""
    rows = f'a,{moment},x\nb,{moment},"first\n{line}\nlast"\n'
    assert logs.read("log.csv", HEAD + rows, month_first="." in moment).queries == ["x", f"first {line} last"]


def test_text_after_a_closing_quote(logs: Any) -> None:
    rows = f'ann,{day(0)},ls\nbob,{day(1)},"echo \\"hi\\" there"\ncyd,{day(2)},cd\n'
    message = logs.refusal("log.csv", HEAD + rows)
    assert message.startswith("log.csv, line 3: text follows the quote that closes a field")
    assert 'written twice ("" and not \\")' in message
    assert logs.read("log.csv", quotes=False).queries[1] == '"echo \\"hi\\" there"'
    two = HEAD + f'ann,{day(0)},"two\nlines"\nbob,{day(1)},"one"x\n'
    assert logs.refusal("log.csv", two).startswith("log.csv, line 4: text follows")
    late = HEAD + f'ann,{day(0)},"open\nbob,{day(1)},"shut"\n'
    assert logs.refusal("log.csv", late).startswith(
        "log.csv, line 2: a quote opens here that closes only on line 3, with text after it"
    )


def test_the_line_of_the_field_and_not_of_the_row(logs: Any) -> None:
    rows = f'ann,{day(0)},ls\nbob,{day(1)},"two\nlines","never closed\n'
    assert logs.refusal("log.csv", "user,time,query,more\n" + rows.replace("ls", "ls,x")).startswith(
        "log.csv, line 4: a quote opens here that is never closed"
    )


def test_an_unclosed_quote_takes_neither_time_nor_memory(logs: Any) -> None:
    rows = "".join(f"u{i},{1_700_000_000 + i},some query\n" for i in range(300_000))
    start = time.process_time()
    logs.read("good.csv", HEAD + rows)
    good = time.process_time() - start
    content = HEAD + 'a,1700000000,"oh\n' + rows
    start = time.process_time()
    assert logs.refusal("bad.csv", content).startswith("bad.csv, line 2: a quote opens here that is never")
    assert time.process_time() - start < good


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
    assert "and inside is a zip archive" in logs.refusal(name, PACK[outer](b"PK\x03\x04"))


def test_other_files(logs: Any) -> None:
    assert "a zip archive or a spreadsheet" in logs.refusal("log.csv", b"PK\x03\x04 and more")
    assert "give its name the ending .parquet" in logs.refusal("log.csv", b"PAR1 and more")
    assert "does not exist" in logs.refusal("none.csv")
    (logs.place / "folder").mkdir()
    assert "is a folder without a .parquet file" in logs.refusal("folder")
    logs.write("folder/log.csv", PLAIN)
    assert "folder holds log.csv: of folders only those of .parquet files are read" in logs.refusal("folder")
