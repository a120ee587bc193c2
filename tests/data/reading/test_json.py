"""JSON logs: lines or one array, numbers to the last digit, and what is cut off is counted."""

import json
from typing import Any

import pytest

ROWS = [
    {"user": "ann", "time": "2024-01-02", "query": "git status"},
    {"user": "bob", "time": "2024-01-03", "query": "ls"},
]
READ = [("ann", "2024-01-02", "git status"), ("bob", "2024-01-03", "ls")]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize("name", ["log.jsonl", "log.ndjson", "log.json"])
@pytest.mark.parametrize(
    "content", [LINES, LINES.strip(), "\n" + LINES.replace("\n", "\r\n\r\n"), "\ufeff" + LINES]
)
def test_lines(logs: Any, name: str, content: str) -> None:
    assert logs.read(name, content).rows == READ
    assert logs.read(name, content.encode("utf-16")).rows == READ


@pytest.mark.parametrize("name", ["log.json", "log.jsonl"])
@pytest.mark.parametrize("indent", [None, 0, 4])
def test_an_array(logs: Any, name: str, indent: int | None) -> None:
    content = json.dumps(ROWS, indent=indent)
    assert logs.read(name, content).rows == READ
    assert logs.read(name, "\ufeff \n\t" + content + "\n\n").rows == READ


def test_a_long_array(logs: Any) -> None:
    rows = [{"user": f"u{i % 9}", "time": 1_700_000_000 + i, "query": f"{{[q{i}]}}"} for i in range(70_000)]
    assert sorted(logs.read("log.json", json.dumps(rows)).queries) == sorted(row["query"] for row in rows)
    message = logs.refusal("log.json", json.dumps([*rows, {**ROWS[0], "time": "soon"}]))
    assert message.startswith("log.json, row 70001, column 'time': 'soon' is not a time")


VALUES = {
    "7": "7",
    "101.0": "101",
    "1e20": "1e20",
    "1.50": "1.50",
    "0.1": "0.1",
    "9007199254740993": "9007199254740993",
    "123456789012345678901234567890": "123456789012345678901234567890",
    "true": "true",
    "false": "false",
    '"NaN"': "NaN",
    '"null"': "null",
    '"\\ud83d\\ude00"': "😀",
    '"a\\ud800b"': "a b",
    '"caf\\u0065\\u0301"': "café",
}


@pytest.mark.parametrize(("shown", "text"), VALUES.items(), ids=VALUES)
def test_values_are_what_the_file_shows(logs: Any, shown: str, text: str) -> None:
    lines = f'{{"user": {shown}, "time": "2024-01-02", "query": {shown}}}\n'
    lines += '{"user": "zed", "time": "2024-01-02", "query": null}\n{"user": "zed", "time": "2024-01-02"}\n'
    read = logs.read("log.jsonl", lines)
    assert read.rows == [(text, "2024-01-02", text)]
    assert read.log.left_out == {"rows without a query": 2}


def test_large_integers_do_not_merge(logs: Any) -> None:
    rows = [(9007199254740992 + i, 9007199254740992 + i) for i in range(4)]
    lines = "".join(f'{{"user": {u}, "time": 1705000000, "query": {q}}}\n' for u, q in rows)
    assert logs.read("log.jsonl", lines + '{"user": null, "time": 1705000000, "query": 5}\n').rows == [
        (str(u), "2024-01-11T19:06:40", str(q)) for u, q in rows
    ]


@pytest.mark.parametrize(
    "end",
    [
        '{"user": "cy',
        '{"user": "cyd", "time": 17',
        "{",
        '{"user": "caf\u00e9'[:-1],
        '{"user"',
        '{"user":',
        '{"user": ',
        '{"user": "a",',
        '{"user": "a", ',
        '{"user": "a"',
        '{"user": tru',
        '{"user": n',
        '{"user": -',
        '{"user": 1.',
        '{"user": 1e+',
        '{"user": "\\',
        '{"user": "a\\u00',
        '{"user": "a\\ud83d\\u',
        '{"user": {"a": [',
    ],
)
def test_a_cut_last_line_is_counted(logs: Any, end: str) -> None:
    read = logs.read("log.jsonl", LINES + end)
    assert read.rows == READ
    assert read.log.left_out == {"rows without a query": 0, "cut last line": 1}


@pytest.mark.parametrize(
    "line",
    [
        LINES.strip().split("\n")[0] * 2,
        LINES.strip().split("\n")[0] + ",",
        LINES.strip().split("\n")[0] + " e",
        "{'user': 'cyd', 'time': '2024-01-03', 'query': 'cd'}",
        '{"user": cyd, "time": "2024-01-03", "query": "cd"}',
        '{"user": "cyd", "query": "say "hi" now", "time": 1705000000}',
        '{"user": None}',
        '{"user": "a\\x"}',
        '{"user": "a" "b"}',
        "cyd,2024-01-03,cd",
    ],
)
def test_a_last_line_that_is_wrong_is_not_cut(logs: Any, line: str) -> None:
    assert logs.refusal("log.jsonl", LINES + line).startswith("log.jsonl, line 3, character ")


def test_what_the_parser_says_is_a_phrase(logs: Any) -> None:
    assert "(unterminated string):" in logs.refusal("log.jsonl", '{"user": "a')
    assert "(invalid control character):" in logs.refusal("log.jsonl", LINES + '{"user": "a\tb"}\n')


def test_a_line_cut_inside_a_character(logs: Any) -> None:
    read = logs.read("log.jsonl", (LINES + '{"user": "é').encode()[:-1])
    assert (read.rows, read.log.left_out["cut last line"]) == (READ, 1)


BAD: dict[str, tuple[str, str, str]] = {
    "cut in the middle": ("log.jsonl", '{"user": "a", \n' + LINES, "log.jsonl, line 1, character"),
    "cut before an empty line": ("log.jsonl", LINES + '{"user": \n', "log.jsonl, line 3, character"),
    "nothing else": ("log.jsonl", '{"user": "a", ', "line 1, character 15: it cannot be read as jsonl"),
    "no object": ("log.jsonl", LINES + "\n7\n", "line 4: 7 is not an object"),
    "over several lines": ("log.json", json.dumps(ROWS[0], indent=1), "an object must stand on one line"),
    "nested": ("log.jsonl", LINES + '{"user": ["a"]}\n', "line 3, column 'user': one value is needed"),
    "nested object": ("log.json", '[{"query": {"a": 1}}]', "row 1, column 'query': one value is needed"),
    "no such key": (
        "log.jsonl",
        '{"usr": 1, "time": 1, "query": 2}\n',
        "no column 'user' (did you mean 'usr'?)",
    ),
    "array is cut": ("log.json", json.dumps(ROWS)[:-5], "row 2: it cannot be read as json (the file ends"),
    "array is not closed": ("log.json", json.dumps(ROWS)[:-1], "the file ends inside the array"),
    "no comma": ("log.json", json.dumps(ROWS).replace("}, {", "} {"), "row 1: it cannot be read as json"),
    "one comma more": ("log.json", json.dumps(ROWS)[:-1] + ",]", "row 3: it cannot be read as json"),
    "text after": ("log.json", json.dumps(ROWS) + LINES, "text follows the end of the array"),
    "array of numbers": ("log.json", "[1, 2]", "row 1: 1 is not an object"),
    "empty": ("log.jsonl", " \n", "log.jsonl is empty"),
    "empty array": ("log.json", "[ ]", "log.json is empty: it has no rows"),
    "deep": ("log.jsonl", "[" * 100_000, "cannot be read as json"),
    "deep object": ("log.jsonl", LINES + '{"a":' * 100_000 + "\n", "nested too deeply"),
}


@pytest.mark.parametrize(("name", "content", "part"), BAD.values(), ids=BAD)
def test_what_is_refused(logs: Any, name: str, content: str, part: str) -> None:
    assert part in logs.refusal(name, content)


def test_bytes_that_are_no_text(logs: Any) -> None:
    content = LINES.encode() * 3000 + '{"user": "café"'.encode("latin-1") + b"}\n"
    message = logs.refusal("log.jsonl", content)
    assert message.startswith("log.jsonl, line 6001, character 14: the byte 0xE9 is not UTF-8")
    rows = LINES.replace("ls", "café").encode("latin-1")
    assert logs.read("log.jsonl", rows, encoding="latin-1").queries == ["git status", "café"]
