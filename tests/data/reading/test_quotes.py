"""Quotes in delimited logs: what they enclose is read, and where they would swallow rows they are refused."""

import time
from typing import Any

import pytest

HEAD = "user,time,query\n"


def day(number: int) -> str:
    return f"2024-0{1 + number // 28}-{1 + number % 28:02d}"


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
    [
        "select a, b, c",
        "where x, 12, y",
        "1, 2.5, 3",
        "maya, mayor 1, jan",
        "v, 1.2, z",
        "(7, 123456, 8)",
        "a,b,c,d,10:30",
    ],
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


BLANKS = {
    "behind every comma": (
        "user, time, query\n",
        'ann, 2024-01-02, "a b"\nbob, 2024-01-03, "say ""x"", y"\n',
    ),
    "every field": (
        '"user", "time", "query"\n',
        '"ann", "2024-01-02", "a b"\n"bob", "2024-01-03", "say ""x"", y"\n',
    ),
    "several": (HEAD, 'ann,2024-01-02,   "a b"\nbob,2024-01-03, "say ""x"", y"\n'),
    "line break inside": (HEAD, 'ann,2024-01-02, "a b"\nbob,2024-01-03, "say ""x"",\ny"\n'),
}


@pytest.mark.parametrize(("head", "rows"), BLANKS.values(), ids=BLANKS)
def test_blanks_before_quotes(logs: Any, head: str, rows: str) -> None:
    assert logs.read("log.csv", head + rows).rows == [
        ("ann", "2024-01-02", "a b"),
        ("bob", "2024-01-03", 'say "x", y'),
    ]
    assert logs.refusal("log.csv", head + rows + 'cyd, 2024-01-04, "open\n').startswith(
        f"log.csv, line {len((head + rows).splitlines()) + 1}: a quote opens here that is never closed"
    )


def test_a_blank_before_some_quotes(logs: Any) -> None:
    rows = f'ann,{day(0)},"a b"\nbob,{day(1)}, "c d"\n'
    assert logs.refusal("log.csv", HEAD + rows).startswith("log.csv, line 3: a blank precedes the quote")
    assert logs.read("log.csv", quotes=False).queries == ['"a b"', '"c d"']
    many = "".join(f"u{i},{1_700_000_000 + i},some query that is long\n" for i in range(70_000))
    assert logs.refusal("log.csv", HEAD + many + 'ann,1700000000, "a"\n').startswith(
        "log.csv, line 70002: a blank"
    )


def test_a_quoted_blank_before_quotes_is_text(logs: Any) -> None:
    """The query of somebody who searched for a phrase, after a blank."""
    rows = f'ann,{day(0)}," ""a b"""\nbob,{day(1)}, say "c"\n'
    assert logs.read("log.csv", HEAD + rows).queries == ['"a b"', 'say "c"']


def test_what_databases_write_for_nothing(logs: Any) -> None:
    rows = f"ann,{day(0)},ls\nann,{day(1)},\\N\n\\N,{day(2)},ls\nann,{day(3)},a \\N\n"
    read = logs.read("log.csv", HEAD + rows)
    assert read.queries == ["ls", "a \\N"]
    assert read.log.left_out == {"rows without a query": 1, "rows without a user": 1}
    assert "line 2, column 'time'" in logs.refusal("log.csv", HEAD + "ann,\\N,ls\n")
