"""Paths: a ~ is expanded wherever one is given, on the command line, in settings and in the environment."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

import app.commands.line
from app.commands.paths import path
from app.runs.checks import ConfigError
from app.runs.settings import resolve
from app.runs.training import UnfinishedError
from app.suggestions.demo import VERSION, home
from app.web.server import _give_home
from data.files import expanded


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a home, as in many a container."""

    def unknown(user: object) -> None:
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "PERSARANK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def parameters(command: Any) -> Iterator[Any]:
    for inner in getattr(command, "commands", {}).values():
        yield from parameters(inner)
    yield from command.params


def test_every_command_reads_its_paths_in_the_same_way() -> None:
    names = {"out", "data", "config", "run", "runs", "file", "directory", "shell", "points"}
    seen = set()
    for parameter in parameters(typer.main.get_command(app.commands.line.commands)):
        assert not isinstance(parameter.type, click.Path), parameter.name
        if parameter.name in names:
            seen.add(parameter.name)
            assert parameter.type.func.__name__ == path.__name__ == "path", parameter.name
    assert seen == names


@pytest.mark.parametrize("arguments", [["--out=~/x"], ["--out", "~/x"]])
def test_a_home_that_the_shell_left_alone(
    arguments: list[str], tmp_path: Path, monkeypatch: Any, cli: Callable[..., Any]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli("data", "simulate", "--users", 3, *arguments, "--json").code == 0
    assert cli("data", "check", "~/x", "--json").code == 0
    train = ["--data=~/x", "--out=~/runs/a", "--algorithm=fedavg", "--updates=20"]
    assert cli("train", *train, "--json").code == 0
    assert cli("evaluate", "~/runs/a", "--data=~/x", "--json").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home"]


@pytest.mark.parametrize("text", ["~nobody123/x", ""])
def test_what_is_no_path_is_a_wrong_use(
    text: str, tmp_path: Path, monkeypatch: Any, cli: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    part = f"{text}: there is no such home directory" if text else "'' is no path."
    for arguments in (["data", "simulate", "--out", text], ["resume", text], ["evaluate", text]):
        called = cli(*arguments)
        assert (called.code, called.out) == (2, "")
        assert part in " ".join(called.err.replace("│", " ").split())
    with pytest.raises(ConfigError, match=r"delay_trace: .*(no such home|is no path)"):
        resolve({"algorithm": "persa-fl"}, {"delay_trace": text})
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_begins_with_a_tilde(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert expanded("./~/x").absolute() == tmp_path / "~" / "x"


def test_settings_name_files_at_home(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    chosen = resolve({"algorithm": "persa-fl"}, {"delay_law": "trace", "delay_trace": "~/t.csv"})
    assert chosen.row.schedule.delay_trace == str(tmp_path / "t.csv")
    chosen = resolve({"algorithm": "pars-push"}, {"graph": "file", "schedule.edge_list": "~/e.txt"})
    assert chosen.row.schedule.edge_list == str(tmp_path / "e.txt")


@pytest.mark.parametrize(
    ("given", "cache", "place"),
    [
        ("~/demo", None, "H/demo"),
        ("/there", "/cache", "/there"),
        ("", "/cache", "/cache/persarank"),
        (None, "~/cache", "H/cache/persarank"),
        (None, "relative", "H/.cache/persarank"),
        (None, None, "H/.cache/persarank"),
        ("here", None, "CWD/here"),
    ],
)
def test_the_demos_place(
    given: str | None, cache: str | None, place: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/h")
    for name, value in (("PERSARANK_HOME", given), ("XDG_CACHE_HOME", cache)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    expected = place.replace("H/", "/home/h/").replace("CWD", str(tmp_path))
    assert home() == Path(expected) / f"demo-{VERSION}"


def test_the_demo_needs_no_home_but_a_place(
    nobody: None, monkeypatch: Any, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    called = cli("demo", "--prepare-only")
    assert called.code == 2
    assert "there is no home directory: set PERSARANK_HOME to a folder." in called.err
    monkeypatch.setenv("PERSARANK_HOME", str(tmp_path))
    assert home() == tmp_path / f"demo-{VERSION}"
    monkeypatch.setenv("HOME", "~")  # so that what is set now is taken away again
    monkeypatch.delenv("HOME")
    _give_home(tmp_path)
    assert os.environ["HOME"] == str(tmp_path), "the server looks for one"


@pytest.mark.parametrize("name", ["PERSARANK_HOME", "XDG_CACHE_HOME"])
def test_a_variable_that_holds_no_place_is_named(
    name: str, monkeypatch: Any, cli: Callable[..., Any]
) -> None:
    monkeypatch.delenv("PERSARANK_HOME", raising=False)
    monkeypatch.setenv(name, "~nobody-of-this-name/x")
    called = cli("demo", "--prepare-only")
    assert called.code == 2
    assert f"{name} is ~nobody-of-this-name/x: there is no such home directory" in called.err


@pytest.mark.parametrize(
    ("cause", "code", "sentence"),
    [
        (KeyboardInterrupt(), 1, "stopped; what is finished is kept, and the same command goes on."),
        (OSError(28, "No space left on device", "place"), 2, "place: No space left on device."),
    ],
)
def test_a_demo_that_is_stopped_does_not_name_resume(
    cause: BaseException, code: int, sentence: str, tmp_path: Path, monkeypatch: Any, cli: Callable[..., Any]
) -> None:
    """Its trainings are begun anew."""

    def stop(*args: Any, **kwargs: Any) -> None:
        raise UnfinishedError("stopped.", tmp_path) from cause

    monkeypatch.setenv("PERSARANK_HOME", str(tmp_path))
    monkeypatch.setattr("app.suggestions.preparation.prepare", stop)
    called = cli("demo", "--prepare-only")
    assert (called.code, called.err) == (code, f"persarank: {sentence}\n")
