"""`persarank app`: which runs it opens, what it says before it serves, and what it refuses."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import app.web.server
from app.suggestions.demo import RUNS, VERSION
from tests.app.commands.test_cli_errors import BAD_DATA, BAD_RUN, Cli, assert_refused

USAGE = 2


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What would be served; there is no demo, and the working directory is empty."""
    calls: list[dict[str, Any]] = []

    def serve(
        folder: Path,
        runs: Sequence[Path],
        demo: bool,
        moved: Sequence[Path],
        host: str,
        port: int | None,
        headless: bool,
    ) -> None:
        calls.append({"folder": folder, "runs": list(runs), "demo": demo, "moved": list(moved)})
        calls[-1] |= {"host": host, "port": port}

    monkeypatch.setattr(app.web.server, "serve", serve)
    monkeypatch.setenv("PERSARANK_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return calls


def test_named_runs_are_opened_in_their_order(
    cli: Cli, served: list[dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    runs = [prepared / "fedavg", prepared / "persa-fl-ditto"]
    data = prepared / "data"
    called = cli("app", *runs, "--folder", tmp_path / "new", "--port", 8600, "--data", data)
    assert (called.code, called.err) == (0, "")
    opened = {"folder": tmp_path / "new", "runs": runs, "demo": False, "moved": [data]}
    assert served == [opened | {"host": "127.0.0.1", "port": 8600}]
    assert not (tmp_path / "new").exists(), "nothing is written before there is something"


def test_one_that_cannot_be_opened_is_named_and_the_others_are_opened(
    cli: Cli, served: list[dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    called = cli("app", tmp_path / "gone", prepared / "fedavg")
    assert called.code == 0
    assert f"left out: {tmp_path / 'gone'} is not a run directory" in called.err
    assert served[0]["runs"] == [prepared / "fedavg"]


def test_where_none_can_be_opened_nothing_is_served(
    cli: Cli, served: list[dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    assert_refused(cli("app", tmp_path / "gone"), BAD_RUN, "gone is not a run directory")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(prepared / "fedavg", unfinished)
    (unfinished / "summary.json").unlink()
    assert_refused(cli("app", unfinished), BAD_RUN, "is not finished", "persarank resume")
    assert cli("app", unfinished, tmp_path / "gone").code == BAD_RUN
    assert not served


def test_without_names_the_folder_comes_first_then_the_demo(
    cli: Cli, served: list[dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    assert cli("app").code == 0
    assert (served[-1]["runs"], served[-1]["demo"]) == ([], False)
    demo = tmp_path / "home" / f"demo-{VERSION}"
    demo.parent.mkdir()
    demo.symlink_to(prepared)
    cli("app")
    shown = [demo / "persa-fl-ditto", demo / "fedavg"]
    assert set(RUNS) == {run.name for run in shown}
    assert (served[-1]["runs"], served[-1]["demo"]) == (shown, True)
    cli("demo")
    assert (served[-1]["runs"], served[-1]["demo"]) == (shown, True)
    shutil.copytree(prepared / "fedavg", Path("runs") / "mine")
    cli("app")
    assert (served[-1]["runs"], served[-1]["demo"]) == ([], False)


def test_whoever_opens_it_to_others_is_warned_once(cli: Cli, served: list[dict[str, Any]]) -> None:
    called = cli("app", "--host", "0.0.0.0")
    assert called.code == 0
    assert called.err.count("\n") == 1
    for word in ("0.0.0.0", "every user's searches", "no password"):
        assert word in called.err
    assert served[-1]["host"] == "0.0.0.0"
    for host in ("127.0.0.1", "localhost", "::1"):
        assert cli("app", "--host", host).err == ""


def test_what_is_no_dataset_is_refused(cli: Cli, served: list[dict[str, Any]], tmp_path: Path) -> None:
    assert_refused(cli("app", "--data", tmp_path / "gone"), BAD_DATA, "gone")
    assert not served


def test_a_folder_that_is_a_file_is_refused(cli: Cli, served: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    called = cli("app", "--folder", tmp_path / "file")
    assert (called.code, "is no folder: choose another --folder." in called.err) == (USAGE, True)
    assert not served
