"""The page Data: a dataset as a person reads it, and simulated users."""

import shutil
from pathlib import Path

from app.reports.distributions import distributions
from app.web.charts import WHOLE, bars
from data.card import card
from data.log_import import import_log
from data.schema import Dataset
from tests.app.letor import write_letor
from tests.app.web.conftest import Open
from tests.app.web.forms import Started, html, labelled, options_of, press, read
from tests.e2e.crashes import Cli


def test_a_dataset_as_a_person_reads_it(
    open_page: Open, tiny: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "searches" / "tiny")
    app = open_page("data", tmp_path)
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    figures = card(tiny_dataset)
    assert shown["Users"] == "20"
    assert shown["Searches"] == f"{figures['events']:,}"
    assert shown["Hit rate"] == f"{figures['pool_recall']:.0%}"
    assert figures["fingerprint"] in html(app), "the whole card is there"
    app = open_page("data", tmp_path, data="**nothing**")
    assert "no dataset of the name in the address" in app.warning[0].value
    assert labelled(app.selectbox, "Dataset").value == "searches/tiny"


def test_pictures_count_what_the_card_counts(tiny_dataset: Dataset) -> None:
    figures, (each, earlier, pools, hits) = distributions(tiny_dataset)
    assert sum(height for _, height in each.bars) == figures["users"]
    assert sum(height for _, height in earlier.bars) == figures["events"]
    assert sum(height for _, height in pools.bars) == figures["slates"]
    assert f"{figures['pool_recall']:.1%}" in hits.told
    assert all(0 <= height <= 1 for _, height in hits.bars)
    assert len(pools.bars) <= 20
    assert pools.bars[0][0].startswith(f"{figures['pool_size']['min']:.0f}")


def test_axes_that_count_have_no_fractions(tiny_dataset: Dataset) -> None:
    for shown in distributions(tiny_dataset)[1]:
        (layer,) = bars(shown).specification["layer"]
        axis = layer["encoding"]["y"]["axis"]
        assert axis == ({"format": "%"} if shown.upward.startswith("share") else WHOLE)
    assert WHOLE["tickMinStep"] == 1


def test_pictures_by_hand(tmp_path: Path) -> None:
    rows = [("a", at, "git") for at in range(5)] + [("b", at, "make") for at in range(7)]
    lines = [f"{user},2024-01-01 10:{at:02d},{query}" for user, at, query in rows]
    (tmp_path / "log.csv").write_text("u,t,q\n" + "\n".join(lines))
    _, (each, earlier, pools, hits) = distributions(import_log(tmp_path / "log.csv", "u", "t", "q"))
    assert each.bars == [("5", 1.0), ("6", 0.0), ("7", 1.0)]
    assert earlier.bars == [
        ("0", 2.0),
        ("1", 2.0),
        ("2", 2.0),
        ("3", 2.0),
        ("4", 2.0),
        ("5", 1.0),
        ("6", 1.0),
    ]
    assert pools.bars == [("0", 2.0), ("1", 10.0)], "nobody else has searched the like before"
    assert "In 83.3% of all" in hits.told


def test_users_can_be_simulated(open_page: Open, tmp_path: Path, started: Started) -> None:
    app = open_page("data", tmp_path)
    app.segmented_control(key="what").set_value("Simulate users").run()
    labelled(app.number_input, "Users").set_value(30)
    labelled(app.number_input, "How far tastes differ").set_value(0.5).run()
    press(app, "Simulate")
    ((words, place),) = started
    assert place == tmp_path / "searches" / "simulated-30"
    assert words[:4] == ["data", "simulate", "--out", "searches/simulated-30"]
    assert words[4:] == ["--users", "30", "--seed", "0", "--strength", "0.5"]


def test_features_of_others_have_a_card_and_rankers_that_read_no_texts(
    open_page: Open, tmp_path: Path, cli: Cli
) -> None:
    file = write_letor(tmp_path / "a.txt", 1, 30, users=["a", "b"])
    out = tmp_path / "searches" / "letor"
    assert cli("data", "import-features", file, "--out", out).code == 0
    app = open_page("data", tmp_path)
    assert not app.exception
    assert not app.error
    assert "candidates" in html(app)
    app = open_page("train", tmp_path)
    assert options_of(app, "Ranker") == ["forest", "lightgbm", "mlp"]


def test_a_damaged_dataset_is_a_sentence(open_page: Open, tiny: Path, tmp_path: Path) -> None:
    place = tmp_path / "searches" / "tiny"
    shutil.copytree(tiny, place)
    (place / "events.parquet").write_bytes(b"PAR1")
    app = open_page("data", tmp_path)
    assert not app.exception
    assert "events.parquet" in read(app.error[0].value)
