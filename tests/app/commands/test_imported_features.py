"""Others' features: imported, exported, trained and judged on, and what cannot be done with them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
from sklearn.datasets import load_svmlight_file

from app.runs.directory import open_run
from app.runs.evaluation import ground_of
from data.feature_sets import FeatureSet, open_data
from data.schema import DataError, column
from data.storage import read
from ranking.metrics import slate_metrics
from ranking.sources import Imported
from tests.app.commands.test_cli_errors import BAD_CONFIG, BAD_DATA, USAGE, Cli, assert_refused, contents
from tests.app.letor import FEATURES, write_letor

SPLITS = ("train", "validation", "test")
NAMES = ("ann", "bob%20b", "cy")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Training, validation and test files of three users, with numbers of queries that do not go up."""
    place = tmp_path_factory.mktemp("letor")
    sizes = {"train": (500, 90), "validation": (300, 30), "test": (1, 30)}
    return [write_letor(place / f"{name}.txt", *size, NAMES) for name, size in sizes.items()]


def imported(cli: Cli, out: Path, *arguments: object) -> Any:
    called = cli("data", "import-features", *arguments, "--out", out, "--json")
    assert called.code == 0, called.err
    return json.loads(called.out)


@pytest.fixture(scope="module")
def data(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from data.feature_import import read_features
    from data.feature_sets import fill
    from data.storage import fresh

    out = tmp_path_factory.mktemp("imported") / "data"
    coming = read_features(files)
    with fresh(out):
        fill(coming.found, coming.candidates(), coming.manifest(), out)
    return out


def loaded(file: Path, features: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X, y, qid = load_svmlight_file(str(file), query_id=True, n_features=features)
    return X.toarray(), y, qid


@pytest.mark.parametrize("base", [0, 1])
def test_what_is_imported_is_exported_as_scikit_learn_had_it(cli: Cli, tmp_path: Path, base: int) -> None:
    """Features, grades and queries to the bit; and imported again it is the same dataset."""
    first = write_letor(tmp_path / "train.txt", 50, 30, NAMES, base)
    # Nobody has the last feature in this file: whoever reads the export must know of it all the same.
    first.write_text(re.sub(rf" {base + FEATURES - 1}:\S+", "", first.read_text()))
    files = [
        first,
        *(write_letor(tmp_path / f"{n}.txt", q, 9, NAMES, base) for n, q in (("v", 9), ("t", 20))),
    ]
    card = imported(cli, tmp_path / "data", *files)
    assert (card["users"], card["features"], card["slates_by_split"]["test"]) == (3, FEATURES, 9)
    called = cli(
        "export", tmp_path / "data", "--out", tmp_path / "out", *(f"--split={s}" for s in SPLITS), "--json"
    )
    assert called.code == 0, called.err
    exported = [tmp_path / "out" / split / "features.svmlight" for split in SPLITS]
    for one, other in zip(files, exported, strict=True):
        for a, b in zip(loaded(one, FEATURES), loaded(other), strict=True):
            assert np.array_equal(a, b)
    again = imported(cli, tmp_path / "again", *exported)
    assert again["fingerprint"] == card["fingerprint"]
    refused = cli("data", "import-features", *sorted(exported), "--out", tmp_path / "mixed")
    assert_refused(refused, BAD_DATA, "is named as the test part, but given as the train part")
    names = [open_data(tmp_path / name).names for name in ("data", "again")]  # type: ignore[union-attr]
    assert names == [[str(base + i) for i in range(FEATURES)]] * 2


def test_grades_become_places_in_a_reference(tmp_path: Path, cli: Cli) -> None:
    file = tmp_path / "f.txt"
    file.write_text(
        "".join(f"{g} qid:{q} 1:{g}\n" for q, grades in enumerate(["012120", "00"] * 5) for g in grades)
    )
    imported(cli, tmp_path / "data", file)
    found = open_data(tmp_path / "data")
    slates = Imported(found).slates("train").all()
    assert slates.position[0].tolist() == [0, 3, 1, 4, 2, 0]
    assert slates.position[1].tolist() == [0] * 6
    assert slates.wanted[:2].tolist() == [4, 1]
    assert slates.mask[1].sum() == 2
    figures = slate_metrics(slates.features[..., 0], slates)
    assert figures["nmrr"][:2].tolist() == [1, 0], (
        "in order of their grades they rank perfectly; a miss scores 0"
    )


def test_lightgbm_is_lightgbm(files: list[Path], data: Path, tmp_path: Path, cli: Cli) -> None:
    """To 1e-12 it is LightGBM called directly, on grades, without queries in which nothing is wanted."""
    few = ("--set", "n_estimators=8", "--set", "min_child_samples=5")
    called = cli(
        "train",
        "--data",
        data,
        "--ranker",
        "lightgbm",
        "--algorithm",
        "pooled",
        "--out",
        tmp_path / "run",
        "--seed",
        3,
        *few,
    )
    assert called.code == 0, called.err
    X, y, qid = loaded(files[0])
    whose = qid % len(NAMES)
    order = np.argsort(whose, kind="stable")
    kept = order[np.isin(qid, qid[y > 0])[order]]
    groups = [len(list(part)) for part in np.split(kept, np.flatnonzero(np.diff(qid[kept])) + 1)]
    parameters = {
        "objective": "lambdarank",
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_child_samples": 5,
        "lambdarank_truncation_level": 28,
        "seed": 3,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 2,
        "verbosity": -1,
    }

    def direct(labels: np.ndarray) -> np.ndarray:
        booster = lightgbm.train(parameters, lightgbm.Dataset(X[kept], labels[kept], group=groups), 8)
        return np.asarray(booster.predict(loaded(files[2])[0], raw_score=True))

    ground = ground_of(open_data(data), "test")
    slates = ground.slates.all()
    scores = open_run(tmp_path / "run").model(ground.source).personal_scores(slates)[slates.mask].numpy()
    of_test = loaded(files[2])[2]
    by_user = np.argsort(of_test % len(NAMES), kind="stable")
    assert np.abs(scores - direct(y)[by_user]).max() <= 1e-12
    assert np.abs(scores - direct(np.minimum(y, 1))[by_user]).max() > 1e-3, "grades matter"


@pytest.mark.parametrize(
    ("ranker", "algorithm", "more"),
    [
        ("forest", "local", ["--set=n_estimators=5"]),
        ("mlp", "persa-fl", ["--updates=60"]),
        ("mlp", "pooled", ["--updates=30"]),
    ],
)
def test_rankers_learn_from_others_features(
    cli: Cli, data: Path, tmp_path: Path, ranker: str, algorithm: str, more: list[str]
) -> None:
    called = cli(
        "train",
        "--data",
        data,
        "--ranker",
        ranker,
        "--algorithm",
        algorithm,
        "--out",
        tmp_path / "run",
        *more,
    )
    assert called.code == 0, called.err
    called = cli("evaluate", tmp_path / "run", "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)["runs"][0]
    assert (result["users"], result["slates"], result["missed"]) == (3, 30, 4)
    metrics = result["metrics"]
    assert metrics["personal"]["nmrr"] > metrics["random"]["nmrr"] + 0.1
    assert {name for name, found in metrics.items() if found is None} >= {"popularity", "history", "oracle"}
    users = json.loads((tmp_path / "run" / "report.json").read_text())["users"]
    assert [row["user"] for row in users] == ["ann", "bob b", "cy"]


def test_from_slates_on_disk_the_same_is_learned(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []
    for name in ("memory", "disk"):
        called = cli(
            "train", "--data", data, "--out", tmp_path / name, "--algorithm", "fedavg", "--updates", 20
        )
        assert called.code == 0, called.err
        models.append((tmp_path / name / "model.safetensors").read_bytes())
        monkeypatch.setattr("app.runs.learning.IN_MEMORY", 0)
    assert models[0] == models[1]


def test_texts_that_are_not_there_are_not_read(cli: Cli, data: Path, tmp_path: Path) -> None:
    called = cli("train", "--data", data, "--ranker", "mlp-cnn", "--out", tmp_path / "run")
    assert_refused(called, BAD_CONFIG, "mlp-cnn reads the texts of queries", "choose another ranker")
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match="imported features without their queries"):
        read(data)
    source = ground_of(open_data(data), "test").source
    assert (source.texts, source.earlier("test"), source.utilities("test")) == (None, None, None)
    assert source.prefixes("test") == [None] * len(source.rows("test"))


def test_one_file_is_split_inside_each_user_in_its_order(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_text("".join(f"1 qid:{q} 1:1\n0 qid:{q} 2:1\n" for q in range(100, 80, -1)))
    users = tmp_path / "users.txt"
    users.write_text(
        "".join(f"{q} {'ann' if q % 2 else 'bob' if q > 84 else 'zoe'}\n" for q in range(81, 101))
    )
    card = imported(cli, tmp_path / "data", file, "--users", users)
    assert (card["users"], card["slates"], card["left_out"]) == (
        2,
        18,
        {"users with fewer than 3 queries": 1},
    )
    found = open_data(tmp_path / "data")
    assert isinstance(found, FeatureSet)
    assert column(found.slates, "qid").tolist() == [q for q in range(100, 80, -1) if q not in (82, 84)]
    split = found.slates.column("split").to_pylist()
    assert [split[i] for i, q in enumerate(column(found.slates, "qid")) if q % 2] == ["train"] * 6 + [
        "validation"
    ] * 2 + ["test"] * 2
    assert imported(cli, tmp_path / "everybody", file)["users"] == 1
    assert open_data(tmp_path / "everybody").users.column("name").to_pylist() == ["everybody"]
    assert found.values[:2].tolist() == [[1, 0], [0, 1]]


def test_who_has_nothing_to_train_on_is_left_out_and_told(cli: Cli, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.txt" for name in SPLITS]
    for number, (file, users) in enumerate(zip(files, ("aabb", "abab", "abcz"), strict=True)):
        file.write_text("".join(f"1 qid:{10 * number + i} 1:1 # user:{u}\n" for i, u in enumerate(users)))
    card = imported(cli, tmp_path / "data", *files)
    assert card["left_out"] == {"users without a query to train on": 2}
    assert card["slates_by_split"] == {"train": 4, "validation": 4, "test": 2}


def test_large_numbers_are_made_small_if_one_likes(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_text("".join(f"1 qid:{q} 1:-1000000 2:0.5\n" for q in range(3)))
    assert imported(cli, tmp_path / "plain", file)["largest_value"] == 1e6
    imported(cli, tmp_path / "small", file, "--log1p")
    found = open_data(tmp_path / "small")
    assert isinstance(found, FeatureSet)
    assert found.values[0].tolist() == pytest.approx([-np.log1p(1e6), np.log1p(0.5)])


def test_what_is_in_two_files_is_told_and_stays_told(cli: Cli, files: list[Path], tmp_path: Path) -> None:
    more, query = tmp_path / "more.txt", "qid:500 "
    lines = [line for line in files[0].read_text().splitlines(keepends=True) if query in line]
    more.write_text(files[2].read_text() + "".join(lines))
    called = cli("data", "import-features", *files[:2], more, "--out", tmp_path / "data")
    assert called.code == 0, called.err
    told = f"one query is in {files[0]} and, with the same candidates, in {more} (train and test)."
    assert told in called.err
    checked = cli("data", "check", tmp_path / "data", "--json")
    assert json.loads(checked.out)["in_two_files"] == {"train and test": 1}


def test_files_in_an_encoding(cli: Cli, tmp_path: Path) -> None:
    file, users, out = tmp_path / "f.txt", tmp_path / "u.txt", tmp_path / "out"
    file.write_bytes("".join(f"1 qid:{q} 1:1 # user:Jérôme\n" for q in range(3)).encode("latin-1"))
    users.write_bytes("".join(f"{q} Zoë\n" for q in range(3)).encode("latin-1"))
    refused = cli("data", "import-features", file, "--out", out)
    assert refused.code == BAD_DATA
    assert "add --encoding windows-1252" in " ".join(refused.err.split())
    refused = cli("data", "import-features", file, "--out", out, "--encoding", "windows")
    assert refused.code == USAGE
    assert "the encoding 'windows' is not known" in " ".join(refused.err.split())
    for name, more in (("Jérôme", ()), ("Zoë", ("--users", users))):
        called = cli(
            "data", "import-features", file, "--out", tmp_path / name, "--encoding=windows-1252", *more
        )
        assert called.code == 0, called.err
        assert open_data(tmp_path / name).users.column("name").to_pylist() == [name]


def test_wrong_files_are_refused_and_leave_nothing(cli: Cli, files: list[Path], tmp_path: Path) -> None:
    bad, users, out = tmp_path / "bad.txt", tmp_path / "users.txt", tmp_path / "out"
    bad.write_text("1 qid:1 1:1\n1 1:1\n")
    users.write_text("500 ann\n")
    half = tmp_path / "half.txt"
    half.write_text("1 qid:1 1:1 # user:ann\n1 qid:2 1:1\n1 qid:3 1:1\n")
    few = tmp_path / "few.txt"
    few.write_text("1 qid:1 1:1\n0 qid:2 1:1\n")
    cases: list[tuple[int, list[object], str]] = [
        (USAGE, files[:2], "one file, or three"),
        (BAD_DATA, [bad], f"{bad}, line 2: behind the grade there is no qid:"),
        (BAD_DATA, [files[0], "--users", users], "qid 501 is: --users must name all"),
        (BAD_DATA, [half], "qid 2 has no user:NAME"),
        (BAD_DATA, [few], "users with fewer than 3 queries"),
    ]
    for code, arguments, cause in cases:
        called = cli("data", "import-features", *arguments, "--out", out)
        assert called.code == code
        assert cause in " ".join(called.err.split())
        assert not out.exists()


def test_what_has_changed_since_it_was_written_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    (copy / "candidates.parquet").write_bytes((copy / "slates.parquet").read_bytes())
    before = contents(copy)
    assert_refused(
        cli("data", "check", copy), BAD_DATA, "candidates.parquet has changed since it was written"
    )
    assert_refused(
        cli("train", "--data", copy, "--out", tmp_path / "run"), BAD_DATA, "candidates.parquet has changed"
    )
    (copy / "candidates.parquet").unlink()
    assert_refused(cli("data", "check", copy), BAD_DATA, "candidates.parquet is missing")
    assert contents(copy).items() <= before.items()


def test_graded_slates_keep_their_grades(data: Path) -> None:
    source = Imported(open_data(data))  # type: ignore[arg-type]
    slates = source.slates("test")
    some = slates.subset(torch.tensor([3, 1]))
    assert slates.grade is not None
    assert torch.equal(
        some.relevance, torch.cat([slates.grade[slates.offsets[i] : slates.offsets[i + 1]] for i in (3, 1)])
    )
    assert torch.equal(some.relevance > 0, some.position > 0)
