"""What every page shares: literal text, one sentence for what goes wrong, and the first steps."""

import logging
from pathlib import Path

import pytest
import streamlit as st

from app.runs.checks import ConfigError
from app.runs.directory import RunError
from app.web import guard
from app.web.guard import guarded
from app.web.literal import literal
from app.web.opened import AppError
from data.schema import DataError
from ranking.rankers.trees import ModelError
from tests.app.web.conftest import Open

NEEDY = ("suggest", "compare")


@pytest.mark.parametrize("kind", [RunError, DataError, ModelError, ConfigError, AppError])
def test_a_known_error_is_its_sentence(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(st, "error", told.append)
    with guarded():
        raise kind("the column *user* is missing.")
    assert told == [literal("the column *user* is missing.")]


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(st, "error", told.append)
    with guarded():
        Path("/nowhere/model").read_bytes()
    assert told == [literal("/nowhere/model: No such file or directory.")]


def test_an_unknown_error_is_a_sentence_and_its_traceback_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    monkeypatch.setattr(st, "error", told.append)
    with caplog.at_level(logging.ERROR, guard.__name__), guarded():
        raise KeyError("secret")
    assert len(told) == 1
    assert "secret" not in told[0]
    assert "KeyError: 'secret'" in caplog.text


def test_literal_text_is_escaped_and_otherwise_kept() -> None:
    assert literal(":red[x]") == "\\::small[]red\\[x\\]"
    plain = "how to cook rice, 12 ways; café"
    assert literal(plain).replace("\\", "") == plain
    command = "persarank data check 'a:b' --user=www.x@y --"
    assert literal(command).replace(":small[]", "").replace("\\", "") == command
    assert literal("a\nb\0") == "a\\\\nb\\\\x00"


@pytest.mark.parametrize("page", NEEDY)
def test_without_a_run_pages_say_what_to_do(page: str, tmp_path: Path, open_page: Open) -> None:
    app = open_page(page, tmp_path)
    assert not app.exception
    assert [title.value for title in app.title] == ["No ranker has been trained yet"]
    assert [code.value for code in app.code] == ["persarank demo"]
    links = [link.proto.page for link in app.get("page_link")]
    assert links == ["data", "train"]
    assert literal(str(tmp_path / "runs")) in app.caption[0].value


def test_pages_that_need_no_run_are_drawn_without_one(tmp_path: Path, open_page: Open) -> None:
    for page in ("train", "data", "about"):
        app = open_page(page, tmp_path)
        assert not app.exception
        assert not app.error
        assert app.title[0].value != "No ranker has been trained yet", page


def test_about_has_a_picture_of_each_round_in_words_too(tmp_path: Path, open_page: Open) -> None:
    app = open_page("about", tmp_path)
    described = [image.alt for group in app.get("image") for image in group.proto.imgs]
    assert len(described) == 3
    assert "two versions stale" in described[0]
    assert "no server" in described[1]
    assert "three tasks" in described[2]
