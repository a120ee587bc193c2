"""What three files of features must be to each other, so that figures on the last mean something."""

from pathlib import Path

import pytest

from data.feature_import import read_features
from data.feature_parts import require_order
from data.schema import DataError

ORDERS = {
    "train.txt vali.txt test.txt": None,
    "set1.train.txt.gz set1.valid.txt.gz set1.test.txt.gz": None,
    "train/f.txt validation/f.txt test/f.txt": None,
    "1.txt 2.txt 3.txt": None,
    "test/train.txt test/dev.txt test/test.txt": None,
    "test/1.txt test/2.txt test/3.txt": None,
    "test-1.txt test-2.txt test-3.txt": None,
    "a/latest.txt b/contest.txt c/trained.txt": None,
    "test/f.txt train/f.txt validation/f.txt": "test/f.txt is named as the test part, but given as the train",
    "train.txt test.txt vali.txt": "test.txt is named as the test part, but given as the validation part",
    "a.txt Training_1.txt b.txt": "Training_1.txt is named as the train part, but given as the validation",
    "x/1.txt y/2.txt VALI/3.txt": "VALI/3.txt is named as the validation part, but given as the test part",
}


@pytest.mark.parametrize("names", ORDERS)
def test_what_names_say(names: str) -> None:
    refused, files = ORDERS[names], list(map(Path, names.split()))
    if refused is None:
        require_order(files)
    else:
        with pytest.raises(DataError) as error:
            require_order(files)
        assert str(error.value).startswith(refused)


def files(tmp_path: Path, *texts: str) -> list[Path]:
    found = [tmp_path / f"{number}.txt" for number in range(len(texts))]
    for file, text in zip(found, texts, strict=True):
        file.write_text(text)
    return found


ONE, TWO, THREE = "1 qid:1 1:1 2:3\n0 qid:1 2:1\n", "1 qid:2 1:2\n", "0 qid:3 2:2\n"


@pytest.mark.parametrize("texts", [(ONE, TWO, ONE), (TWO, ONE, ONE), (ONE, "# other\n" + ONE, TWO)])
def test_one_file_is_not_two_parts(tmp_path: Path, texts: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"\.txt holds the same queries as .*\.txt: what a ranker is judged"):
        read_features(files(tmp_path, *texts))


def test_a_file_given_twice_is_not_two_parts(tmp_path: Path) -> None:
    one, other = files(tmp_path, ONE, TWO)
    with pytest.raises(DataError, match=r"0\.txt is given twice: what a ranker is judged on"):
        read_features([one, other, one])


def test_queries_of_two_files_are_told(tmp_path: Path) -> None:
    """Those with the same number and candidates; the number alone says nothing."""
    other = "1 qid:1 1:1 2:3.5\n0 qid:1 2:1\n"
    assert read_features(files(tmp_path, ONE, TWO, THREE + other)).repeated == []
    first, second, last = files(tmp_path, TWO + ONE, TWO, THREE + ONE + TWO)
    found = read_features([first, second, last])
    assert [(r.one, r.other, r.parts, r.queries) for r in found.repeated] == [
        (first, second, "train and validation", 1),
        (first, last, "train and test", 2),
        (second, last, "validation and test", 1),
    ]
    assert str(found.repeated[1]) == (
        f"2 queries are in {first} and, with the same candidates, in {last} (train and test)."
    )
    assert found.manifest()["in_two_files"] == {
        "train and validation": 1,
        "train and test": 2,
        "validation and test": 1,
    }


def test_whose_query_it_is_tells_it_from_another(tmp_path: Path) -> None:
    ann, bob = "1 qid:7 1:1 # user:ann\n", "1 qid:7 1:1 # user:bob\n"
    more = [f"1 qid:{q} 1:1 # user:{user}\n" for q, user in enumerate(["ann", "bob", "ann", "bob"])]
    assert read_features(files(tmp_path, ann + more[1], more[2], bob + more[0])).repeated == []


@pytest.mark.parametrize(("place", "part"), [(1, "validation"), (2, "test")])
def test_a_file_of_strangers_is_refused(tmp_path: Path, place: int, part: str) -> None:
    texts = [f"1 qid:{q} 1:1 # user:{'zoe' if q == place else 'ann'}\n" for q in range(3)]
    with pytest.raises(DataError) as refused:
        read_features(files(tmp_path, *texts))
    assert str(refused.value) == (
        f"{tmp_path / f'{place}.txt'}: none of its users, as 'zoe', has a query in {tmp_path / '0.txt'}, so "
        f"that nothing would be left for {part}."
    )
