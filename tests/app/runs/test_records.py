"""What runs write down is read strictly: the first thing that is wrong is named, with its place."""

import pytest

from app.runs import records

MERGED = b'{"event": "merged", "updates": 3, "time": 1.5, "staleness": [0, 2]}'


def test_what_is_right_is_read_with_keys_that_are_not_known() -> None:
    (event,) = records.events(MERGED[:-1] + b', "more": {"a": 1e300}}')
    assert event["staleness"] == [0, 2]
    assert event["more"] == {"a": 1e300}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (MERGED.replace(b"1.5", b"NaN"), "NaN is not a finite number"),
        (MERGED[:-1] + b', "more": 1e999}', "1e999 is not a finite number"),
        (MERGED.replace(b"[0, 2]", b"[0, -2]"), "'merged.staleness.1' is wrong"),
        (MERGED.replace(b"[0, 2]", b"[1.5]"), "'merged.staleness.0' is wrong"),
        (MERGED.replace(b"3", b"true"), "'merged.updates' is wrong"),
        (MERGED.replace(b'"time": 1.5, ', b""), "it has no 'merged.time'"),
        (b'{"event": "other"}', "other"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"{", "it is no JSON"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=r"^line 2: ") as error:
        records.events(MERGED + b"\n" + line + b"\n")
    assert told in str(error.value)
