"""The page Train: what can be chosen goes together, and the command that is shown is the one that is run."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.reports.parameters import CHOICE, REAL, TRUTH, WHOLE, WRITTEN, Parameter, parameters
from app.runs.given import settings_from
from app.runs.settings import PATHS, Settings, resolve
from app.web import jobs
from app.web.jobs import JobError
from app.web.literal import literal
from app.web.names import free_name, what_is_wrong
from federated.algorithms import ALGORITHMS, FITTED, OBJECTIVES, SCHEDULES
from ranking.rankers import RANKERS, TREES
from tests.app.web.conftest import Open
from tests.app.web.forms import Started, labelled, options_of, press


@pytest.fixture(scope="session")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the app with one dataset."""
    place = tmp_path_factory.mktemp("app")
    shutil.copytree(tiny, place / "searches" / "tiny")
    return place


def settings_of(words: Sequence[str], folder: Path) -> Settings:
    """What `train` makes of these words."""
    pairs = [(words[at].removeprefix("--"), words[at + 1]) for at in range(1, len(words), 2)]
    given: dict[str, Any] = {n: int(v) if n in ("seed", "updates") else v for n, v in pairs}
    data = folder / given.pop("data")
    sets = [value for name, value in pairs if name == "set"]
    return settings_from(None, {n: v for n, v in given.items() if n not in ("out", "set")}, sets, data)


def test_the_command_that_is_shown_is_run_and_trains_what_was_chosen(
    open_page: Open, folder: Path, started: Started
) -> None:
    app = open_page("train", folder, data="searches/tiny")
    assert not app.exception
    labelled(app.selectbox, "Algorithm").set_value("persa-fl-me").run()
    labelled(app.number_input, "Updates").set_value(300)
    labelled(app.number_input, "Seed").set_value(7)
    labelled(app.text_input, r"lam").set_value("3").run()
    labelled(app.number_input, r"inner\_lr").set_value(0.01)
    labelled(app.selectbox, r"inner\_batches").set_value("fresh")
    labelled(app.checkbox, r"keep\_common").check()
    labelled(app.text_input, "hidden").set_value("[8]").run()
    labelled(app.text_input, "Name of the run").set_value("mine").run()
    assert not app.error
    shown = app.code[0].value
    press(app, "Start training")
    ((words, place),) = started
    assert place == folder / "runs" / "mine"
    assert words[:5] == ["train", "--data", "searches/tiny", "--out", "runs/mine"]
    assert shown == "persarank " + " ".join(f"'{w}'" if "[" in w else w for w in words)
    given = {"algorithm": "persa-fl-me", "seed": 7, "updates": 300}
    changed = {"lam": 3, "inner_lr": 0.01, "inner_batches": "fresh", "keep_common": True, "hidden": [8]}
    assert settings_of(words, folder) == resolve(given, changed)


def test_nothing_changed_trains_the_defaults(open_page: Open, folder: Path, started: Started) -> None:
    press(open_page("train", folder), "Start training")
    ((words, place),) = started
    assert place.name == "tiny-persa-fl-ditto-mlp"
    assert "--set" not in words
    assert settings_of(words, folder) == resolve({}, {})


def test_a_preset_gives_what_it_has(open_page: Open, folder: Path, started: Started) -> None:
    app = open_page("train", folder)
    labelled(app.selectbox, "Preset").set_value("talk").run()
    assert labelled(app.selectbox, "Algorithm").value == "persa-fl-me"
    assert labelled(app.number_input, r"server\_lr").value == 1 / 20, "of 20 users"
    press(app, "Start training")
    ((words, _),) = started
    assert words[5:] == ["--preset", "talk"]
    labelled(app.selectbox, "Algorithm").set_value("fedavg").run()
    assert "the preset talk sets" in app.error[0].value.replace("\\", "")


def test_only_what_goes_together_can_be_chosen(open_page: Open, folder: Path) -> None:
    app = open_page("train", folder)
    assert options_of(app, "Ranker") == list(RANKERS)
    assert options_of(app, "Algorithm") == list(ALGORITHMS)
    assert options_of(app, "Objective")[1:] == list(OBJECTIVES)
    assert options_of(app, "Schedule")[1:] == list(SCHEDULES)
    labelled(app.selectbox, "Algorithm").set_value("memrl").run()
    assert options_of(app, "Loss") == ["nmrr"]
    labelled(app.selectbox, "Ranker").set_value("forest").run()
    assert options_of(app, "Algorithm") == list(TREES["forest"].ALGORITHMS)
    assert options_of(app, "Loss") == list(RANKERS["forest"].losses)
    assert not [field for field in app.number_input if field.label == "Updates"], "trees have none"
    assert not app.error


def test_a_run_has_a_free_and_simple_name(open_page: Open, folder: Path, started: Started) -> None:
    (folder / "runs" / "taken").mkdir(parents=True, exist_ok=True)
    app = open_page("train", folder)
    for name in ("taken", "../out", "a/b", "A", "-x", ".x", "ü"):
        labelled(app.text_input, "Name of the run").set_value(name).run()
        assert app.error, name
        assert not [b for b in app.button if b.label == "Start training"], name
    assert not started
    assert what_is_wrong(folder, "x" * 60) is None
    assert what_is_wrong(folder, "x" * 61) is not None
    assert free_name(folder / "runs", "<b>Taken!</b>", "run") == "b-taken-b"
    assert free_name(folder / "runs", "Taken", "run") == "taken-2"
    assert free_name(folder / "runs", "../..", "run") == "run"


def test_settings_that_cannot_be_are_a_sentence(open_page: Open, folder: Path) -> None:
    app = open_page("train", folder)
    labelled(app.text_input, "lam").set_value("<b>-1</b>").run()
    assert r"objective\.lam \= \'\<b\>" in app.error[0].value.replace(":small[]", "")
    assert not [b for b in app.button if b.label == "Start training"]
    labelled(app.text_input, "lam").set_value("auto").run()
    labelled(app.number_input, "Updates").set_value(3).run()
    assert "nothing would be merged" in app.error[0].value


def test_what_cannot_be_started_is_a_sentence(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*any: object) -> None:
        raise JobError("4 jobs are at work: **wait**.")

    monkeypatch.setattr(jobs, "start", start)
    app = press(open_page("train", folder), "Start training")
    assert app.error[0].value == literal("4 jobs are at work: **wait**.")


def test_a_dataset_of_the_address_that_is_not_there_is_a_sentence(open_page: Open, folder: Path) -> None:
    app = open_page("train", folder, data="../../etc")
    assert "no dataset of the name in the address" in app.warning[0].value
    assert labelled(app.selectbox, "Data").value == "searches/tiny"


def test_without_data_it_says_what_to_do(open_page: Open, tmp_path: Path) -> None:
    app = open_page("train", tmp_path)
    assert "no data to train on yet" in app.info[0].value
    assert not app.selectbox


def test_a_job_is_shown_with_what_can_be_done(open_page: Open, folder: Path, tmp_path: Path) -> None:
    """A record made by hand: of a training that was killed after it had begun."""
    place = tmp_path / "app"
    shutil.copytree(folder, place)
    record = place / jobs.FOLDER / "20260101-000000-000"
    record.mkdir(parents=True)
    run = place / "runs" / "half"
    run.mkdir(parents=True)
    (run / "config.toml").touch()
    (run / "metrics.jsonl").write_text(
        '{"event": "evaluated", "updates": 10, "metrics": {"loss": 1.0, "nmrr": 0.25}}\n'
        '{"event": "merged", "upd\n'
        '{"event": "evaluated", "updates": 20, "metrics": {"loss": 1.0, "nmrr": 0.5}}\n'
        '{"event": "evaluated", "updates": 30, "metr'
    )
    (record / jobs.ERR).write_text("persarank: <script> **half**\n")
    (record / jobs.CODE).write_text("1")
    kept = jobs.Kept(words=["train", "--out", "runs/half"], place=str(run), started=0.0, pid=os.getpid())
    (record / jobs.RECORD).write_text(kept.model_dump_json())
    app = open_page("train", place)
    assert not app.exception
    assert app.warning[0].value == r"\<script\> \*\*half\*\*"
    assert any("0.500 after 20 updates" in caption.value for caption in app.caption)
    assert {"Resume", "Remove from this list"} <= {button.label for button in app.button}
    press(app, "Remove from this list")
    assert not record.exists()
    assert run.is_dir(), "what it has made stays"


def test_every_hyper_parameter_is_there_with_its_bounds_and_help() -> None:
    for name in ALGORITHMS:
        settings = resolve({"algorithm": name}, {})
        found = {(p.section, p.name): p for p in parameters(settings)}
        known = {(s, key) for s, part in settings.parts().items() for key in vars(part) if key not in PATHS}
        assert found.keys() == known
        assert all(
            p.help and (p.kind in (TRUTH, WRITTEN) or p.choices or p.low is not None) for p in found.values()
        )
    kinds = {p.name: p for p in parameters(resolve({}, {}))}
    batch = Parameter("local", "batch_size", WHOLE, 20, 1, 10_000, False, (), False, "samples in one batch.")
    assert kinds["batch_size"] == batch
    lam = kinds["lam"]
    assert (lam.kind, lam.value, lam.choices, lam.bounds()) == (
        WRITTEN,
        "auto",
        ("auto",),
        "a number, or auto",
    )
    assert (kinds["inner_lr"].kind, kinds["inner_lr"].above) == (REAL, True)
    assert kinds["inner_lr"].bounds() == "more than 0"
    assert (kinds["delay_law"].kind, "trace" in kinds["delay_law"].choices) == (CHOICE, False)
    assert kinds["max_staleness"].optional
    for name, row in FITTED.items():
        ranker = next(ranker for ranker, trees in TREES.items() if name in trees.ALGORITHMS)
        told = parameters(resolve({"algorithm": name, "ranker": ranker}, {}))
        assert ("growing" in {p.section for p in told}) == (row.growing is not None)
