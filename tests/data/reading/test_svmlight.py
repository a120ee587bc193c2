"""SVMlight files are read as scikit-learn reads them, or refused with the line and the cause."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_svmlight_file

from data.reading.svmlight import read_svmlight, read_users
from data.schema import DataError

TEXT = """# made by hand
2 qid:7 1:0.5 3:-2e-3 # docid = GX-1 user:ann%20b
0 qid:7 2:1
0.0 qid:7 # nothing but zeros

30 qid:12 1:.25 4:+3.  #
"""


def saved(tmp_path: Path, text: str, name: str = "f.txt") -> Path:
    file = tmp_path / name
    file.write_bytes(text.encode())
    return file


def test_a_file_by_hand(tmp_path: Path) -> None:
    found = read_svmlight(
        saved(
            tmp_path,
            TEXT.replace("qid:7 2:1", "qid:7 2:1 # user:ann%20b").replace("# nothing", "# user:ann%20b"),
        )
    )
    assert found.qid.tolist() == [7, 12]
    assert found.size.tolist() == [3, 1]
    assert found.user == ["ann b", ""]
    assert found.grade.tolist() == [2, 0, 0, 30]
    assert found.count.tolist() == [2, 1, 0, 2]
    assert found.feature.tolist() == [1, 3, 2, 1, 4]
    assert found.value.tolist() == [0.5, np.float32(-0.002), 1, 0.25, 3]


@pytest.mark.parametrize("form", ["plain", "windows", "gz"])
def test_equal_to_scikit_learns(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.integers(5)} qid:{query} "
        + " ".join(
            f"{i}:{rng.normal() * 10.0 ** rng.integers(-6, 6):.7g}" for i in range(1, 9) if rng.random() < 0.6
        )
        for query in range(1, 40)
        for _ in range(rng.integers(1, 5))
    ]
    text = "\n".join(lines) + "\n9 qid:99 8:1\n"
    plain = saved(tmp_path, text)
    file = {"plain": plain, "windows": tmp_path / "w.txt", "gz": tmp_path / "f.txt.gz"}[form]
    if form == "windows":
        file.write_bytes(text.replace("\n", " \r\n").encode())
    elif form == "gz":
        file.write_bytes(gzip.compress(text.encode()))
    found = read_svmlight(file)
    X, y, qid = load_svmlight_file(str(plain), query_id=True)
    dense = np.zeros(X.shape, np.float32)
    dense[np.repeat(np.arange(len(found.grade)), found.count), found.feature - 1] = found.value
    assert np.array_equal(dense, X.toarray().astype(np.float32))
    assert np.array_equal(found.grade, y)
    assert np.array_equal(np.repeat(found.qid, found.size), qid)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("1 1:0.5", "there is no qid:"),
        ("1", "there is no qid:"),
        ("x qid:1 1:2", "it begins with 'x', where a grade must be"),
        ("-1 qid:1 1:2", "the grade -1 is no whole number from 0"),
        ("31 qid:1 1:2", "the grade 31 is no whole number from 0"),
        ("0.5 qid:1 1:2", "the grade 0.5 is no whole number"),
        ("1 qid:a 1:2", "'qid:a' is no query"),
        ("1 qid:1 1:2 3", "'3' is no feature"),
        ("1 qid:1 a:2", "'a:2' is no feature"),
        ("1 qid:1 2000000000:1", "feature 2000000000: there may be at most 10,000 features"),
        ("1 qid:1 99999999999999999999:1", "there may be at most 10,000 features"),
        ("1 qid:1 1:nan", "feature 1 has the value 'nan', which is no finite number"),
        ("1 qid:1 4:NULL", "feature 4 has the value 'NULL'"),
        ("1 qid:1 1:1e39", "the value of feature 1 is too large"),
        ("1 qid:1 3:1 2:1", "feature 2 stands behind one with a higher or the same number"),
        ("1 qid:1 3:1 3:1", "feature 3 stands behind one with a higher or the same number"),
        ("1 qid:1 10001:1", "feature 10001: there may be at most 10,000 features"),
        ("1 qid:0 1:1", "qid 0 comes back after another one"),
        ("1 qid:5 1:1 # user:bob", "qid 5 is of nobody and 'bob'"),
        ("1 qid:7 1:1 # user:b%FFb", "the user of qid 7 is no UTF-8 behind its % signs"),
    ],
)
def test_a_line_that_is_not_right_is_named(tmp_path: Path, line: str, cause: str) -> None:
    file = saved(tmp_path, f"0 qid:0 1:1\n# a comment\n0 qid:5 3:1\n{line}\n0 qid:6 1:1\n")
    with pytest.raises(DataError) as refused:
        read_svmlight(file)
    assert str(refused.value).startswith(f"{file}, line 4: ")
    assert cause in str(refused.value)


def test_no_candidates_no_file_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no candidate"):
        read_svmlight(saved(tmp_path, "# nothing\n\n"))
    with pytest.raises(DataError, match="does not exist"):
        read_svmlight(tmp_path / "nowhere")
    with pytest.raises(DataError, match="qid 1 has more than 32,767 candidates"):
        read_svmlight(saved(tmp_path, "0 qid:1\n" * 32768))


def test_whose_queries(tmp_path: Path) -> None:
    users = read_users(saved(tmp_path, "7\tAnn  B\n\nqid:12 bob\n7 Ann B\n"))
    assert users == {7: "Ann B", 12: "bob"}
    for text, cause in (
        ("7\n", "line 1: write"),
        ("a b\n", "line 1: write"),
        ("7 a\n7 b\n", "line 2: qid 7 is of 'a' too"),
    ):
        with pytest.raises(DataError, match=cause):
            read_users(saved(tmp_path, text))
