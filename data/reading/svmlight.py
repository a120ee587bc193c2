"""SVMlight files with queries, as LETOR and most toolkits have them: ``grade qid:7 1:0.5 3:2 # comment``.

A line is a candidate. What it does not name is 0. Numbers of features go up within a line and begin at 1 or
at 0; comments and empty lines say nothing, but for ``user:NAME`` in a comment. It is read right, or refused
with a sentence that names file and line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int
from data.feature_sets import HIGHEST_GRADE
from data.progress import Tell, silent
from data.reading.columns import tidy_name
from data.reading.text_files import line_blocks
from data.schema import DataError

MOST_FEATURES = 10_000
"""Every candidate takes room for all features, those that are 0 too."""

MOST_CANDIDATES = 2**15 - 1
"""Of a query: places in a reference are 16-bit numbers."""

GRADE = f"whole number from 0 (not wanted) to {HIGHEST_GRADE}"

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LINE = re.compile(
    rf"\s*({_NUMBER})\s+qid:(\d{{1,18}})((?:\s+\d{{1,9}}:{_NUMBER})*)\s*(?:#(.*))?\s*", re.A | re.S
)
_USER = re.compile(r"(?:^|\s)user:(\S+)")


@dataclass(frozen=True)
class Candidates:
    """R candidates of Q queries, as a file has them, without their zeros.

    Attributes:
        qid: (Q,) the number of each query, each once.
        size: (Q,) how many candidates it has.
        user: of each query; empty where its lines name none.
        grade: (R,) from 0 to HIGHEST_GRADE.
        count: (R,) how many features are named.
        feature: (sum of count,) their numbers, as written.
        value: (sum of count,) float32.
    """

    qid: Int
    size: Int
    user: list[str]
    grade: NDArray[np.int16]
    count: Int
    feature: NDArray[np.int32]
    value: NDArray[np.float32]


def read_svmlight(file: Path, encoding: str | None = None, tell: Tell = silent) -> Candidates:
    """Read a file, which may be compressed; ``tell`` is told how much of it has been read.

    ``encoding`` is obeyed if it is given; see `line_blocks`.

    Raises:
        DataError: no such file, no candidate in it, or a line that is not as above.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist or is not a file.")
    queries = _Queries(file)
    parts = [_block(file, numbers, found, queries) for numbers, found in _lines(file, encoding, tell)]
    if not parts:
        raise DataError(f"{file} holds no candidate.")
    grade, count, feature, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Candidates(
        np.array(queries.qid), np.array(queries.size), queries.user, grade, count, feature, value
    )


def _lines(file: Path, encoding: str | None, tell: Tell) -> Iterator[tuple[list[int], list[re.Match[str]]]]:
    """The lines with candidates, some thousands at a time: their numbers in the file, and their parts."""
    before = 0
    for block in line_blocks(file, encoding, tell=tell):
        numbers, found = [], []
        for number, line in enumerate(block, before + 1):
            match = _LINE.fullmatch(line)
            if match:
                numbers.append(number)
                found.append(match)
            elif line.partition("#")[0].strip():
                raise DataError(f"{file}, line {number}: {_cause(line)}.")
        before += len(block)
        if found:
            yield numbers, found


Part = tuple[NDArray[np.int16], Int, NDArray[np.int32], NDArray[np.float32]]


def _block(file: Path, numbers: list[int], found: list[re.Match[str]], queries: "_Queries") -> Part:
    """Grades (R,), counts of features (R,), and the features' numbers and values, of some lines."""
    graded = np.array([match[1] for match in found], dtype=np.float64)
    wrong = (graded != np.round(graded)) | (graded < 0) | (graded > HIGHEST_GRADE)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(f"{file}, line {numbers[at]}: the grade {found[at][1]} is no {GRADE}.")
    named = [match[3] for match in found]
    count = np.array([text.count(":") for text in named], dtype=np.int64)
    text = " ".join(named).replace(":", " ") if count.any() else ""  # of blanks numpy makes a number
    pairs = np.fromstring(text, np.float64, sep=" ").reshape(-1, 2)
    row = np.repeat(np.arange(len(found)), count)

    def refuse(wrong: NDArray[np.bool_], why: str) -> None:
        if wrong.any():
            at = int(np.argmax(wrong))
            raise DataError(f"{file}, line {numbers[row[at]]}: " + why.format(f"feature {pairs[at, 0]:.0f}"))

    refuse(pairs[:, 0] > MOST_FEATURES, f"{{}}: there may be at most {MOST_FEATURES:,} features.")
    backwards = (np.diff(pairs[:, 0], prepend=-1) <= 0) & (np.diff(row, prepend=-1) == 0)
    refuse(backwards, "{} stands behind one with a higher or the same number: they must go up.")
    with np.errstate(over="ignore"):
        value = pairs[:, 1].astype(np.float32)
    refuse(~np.isfinite(value), "the value of {} is too large for a 32-bit number.")
    queries.see(numbers, found)
    return graded.astype(np.int16), count, pairs[:, 0].astype(np.int32), value


class _Queries:
    """The queries of a file, line by line: number, size and user of each."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: set[int] = set()
        self.qid: list[int] = []
        self.size: list[int] = []
        self.user: list[str] = []

    def see(self, numbers: list[int], found: list[re.Match[str]]) -> None:
        """Take some more lines.

        Raises:
            DataError: a query comes back after another one, or its lines name several users, or one who
                cannot be read.
        """
        for number, match in zip(numbers, found, strict=True):
            qid = int(match[2])
            try:
                user = _user(match[4])
            except UnicodeDecodeError as error:
                why = f"the user of qid {qid} is no UTF-8 behind its % signs; a % itself is %25"
                raise DataError(f"{self._file}, line {number}: {why}.") from error
            if not self.qid or qid != self.qid[-1]:
                if qid in self._seen:
                    why = f"qid {qid} comes back after another one: lines of a query must stand together"
                    raise DataError(f"{self._file}, line {number}: {why}.")
                self._seen.add(qid)
                self.qid.append(qid)
                self.size.append(0)
                self.user.append(user)
            if user != self.user[-1]:
                names = " and ".join(repr(name) if name else "nobody" for name in (self.user[-1], user))
                raise DataError(
                    f"{self._file}, line {number}: qid {qid} is of {names}; it must be of one user."
                )
            self.size[-1] += 1
            if self.size[-1] > MOST_CANDIDATES:
                why = f"qid {qid} has more than {MOST_CANDIDATES:,} candidates"
                raise DataError(f"{self._file}, line {number}: {why}.")


def _user(comment: str | None) -> str:
    """The user that a comment names, in which %20 is a blank; empty for none.

    Raises:
        UnicodeDecodeError: bytes written so are no UTF-8.
    """
    named = _USER.search(comment) if comment and "user:" in comment else None
    return tidy_name(unquote(named[1], errors="strict")) if named else ""


def _cause(line: str) -> str:
    """Why a line with something in it is no candidate."""
    grade, *others = line.partition("#")[0].split()
    if not re.fullmatch(_NUMBER, grade):
        return f"it begins with {grade!r}, where a grade must be: a {GRADE}"
    if not others or not others[0].startswith("qid:"):
        return "behind the grade there is no qid:, which says what query the candidate is of"
    if not re.fullmatch(r"\d{1,18}", others[0].removeprefix("qid:"), re.A):
        return f"{others[0]!r} is no query: its number must be whole, and have up to 18 digits"
    for pair in others[1:]:
        feature, colon, value = pair.partition(":")
        if colon and re.fullmatch(r"0*[1-9]\d{9,}", feature, re.A):
            return f"feature {feature}: there may be at most {MOST_FEATURES:,} features"
        if not colon or not re.fullmatch(r"\d{1,9}", feature, re.A):
            return f"{pair!r} is no feature: write its number, a colon and its value, as in 3:0.25"
        if not re.fullmatch(_NUMBER, value):
            return f"feature {feature} has the value {value!r}, which is no finite number"
    return "it is not of the form: grade qid:7 1:0.5 3:2 # comment"


def read_users(file: Path, encoding: str | None = None, tell: Tell = silent) -> dict[int, str]:
    """Whose query each one is: a file with lines of a query's number, a blank or tab, and the user's name.

    ``encoding`` and ``tell`` are as in `read_svmlight`.

    Raises:
        DataError: no such file, or a line that is not so or says otherwise than one before.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist or is not a file.")
    users: dict[int, str] = {}
    before = 0
    for block in line_blocks(file, encoding, tell=tell):
        for number, line in enumerate(block, before + 1):
            qid, *name = line.removeprefix("qid:").split(None, 1) or [""]
            if not qid:
                continue
            user = tidy_name(name[0]) if name else ""
            if not re.fullmatch(r"\d{1,18}", qid, re.A) or not user:
                raise DataError(f"{file}, line {number}: write the number of a query, a blank and its user.")
            if users.setdefault(int(qid), user) != user:
                raise DataError(f"{file}, line {number}: qid {qid} is of {users[int(qid)]!r} too.")
        before += len(block)
    return users
