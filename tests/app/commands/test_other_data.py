"""Figures are of the data that they claim to be of: what was exchanged is named, and never compared."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write
from ranking.features import VERSION
from tests.app.commands.test_cli_errors import BAD_DATA, BAD_RUN, Cli, assert_refused
from tests.e2e.crashes import Crash, crash_at, ignore


def trained(data: Path, out: Path, **given: Any) -> Path:
    settings = resolve({"algorithm": "fedavg", "updates": 20, "evaluations": 0, **given}, {})
    train_run(settings, data, read(data), out, ignore)
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "d"
    write(simulate(users=6, seed=0), out)
    return out


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("other") / "d"
    write(simulate(users=6, seed=1), out)
    return out


@pytest.fixture(scope="module")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(data, tmp_path_factory.mktemp("base") / "run")


@pytest.fixture
def copy(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "copy"))


def differences(cli: Cli, *arguments: object) -> Any:
    called = cli("evaluate", *arguments, "--json")
    assert called.code == 0, called.err
    return json.loads(called.out)["differences"]


@pytest.mark.parametrize("kind", ["copy", "link", "relative"])
def test_runs_on_equal_data_are_compared_wherever_it_lies(
    cli: Cli, data: Path, base: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "place"
    if kind == "copy":
        shutil.copytree(data, place)
    else:
        place.symlink_to(data)
    run = trained(Path("place") if kind == "relative" else place, tmp_path / "run", algorithm="persa-fl-me")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(str(data), str(place)))  # as if links were kept
    (difference,) = differences(cli, base, run)
    personal = [
        json.loads((r / "report.json").read_text())["result"]["metrics"]["personal"] for r in (run, base)
    ]
    assert difference["nmrr"]["mean"] == pytest.approx(personal[0]["nmrr"] - personal[1]["nmrr"])
    assert "why" not in difference


def test_equal_data_is_read_once(
    cli: Cli, data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.runs.evaluation

    seen = []
    monkeypatch.setattr(
        app.runs.evaluation, "open_data", lambda where, **rest: seen.append(where) or read(where, **rest)
    )
    run = trained(Path(shutil.copytree(data, tmp_path / "again")), tmp_path / "run", seed=1)
    assert len(differences(cli, base, run)) == 1
    assert seen == [data]


def test_runs_on_other_data_are_not_compared_and_it_says_why(
    cli: Cli, base: Path, other: Path, tmp_path: Path
) -> None:
    run = trained(other, tmp_path / "run")
    (difference,) = differences(cli, base, run)
    assert (difference["nmrr"], difference["mrr@10"], difference["gap_closed"]) == (None, None, None)
    assert difference["why"].startswith("the first ran on data ")
    called = cli("evaluate", base, run)
    assert called.code == 0
    assert f"not compared, since {difference['why']}." in " ".join(called.out.split())


def test_data_of_another_run_is_refused_before_it_is_prepared(
    cli: Cli, data: Path, base: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.runs.evaluation

    monkeypatch.setattr(app.runs.evaluation, "ground_of", None)
    run = trained(other, tmp_path / "run")
    called = cli("evaluate", run, base, "--data", data, "--json")
    assert_refused(called, BAD_RUN, f"{run} was trained on data", "belong to other users")


TABLES = ["users.parquet", "queries.parquet", "events.parquet", "slates.parquet"]


def exchange(copy: Path, other: Path) -> None:
    """Another dataset's tables, truth included, under the old manifest."""
    for path in (*other.glob("*.parquet"), *other.glob("truth/*.parquet")):
        shutil.copy(path, copy / path.relative_to(other))


@pytest.mark.parametrize("command", ["train", "resume", "evaluate", "check"])
def test_exchanged_tables_are_named_by_every_command(
    cli: Cli, copy: Path, other: Path, tmp_path: Path, command: str
) -> None:
    run = tmp_path / "run"
    if command == "evaluate":
        trained(copy, run)
    elif command == "resume":
        with pytest.raises(Crash):
            train_run(
                resolve({"updates": 40, "checkpoint_every": 10}, {}), copy, read(copy), run, crash_at(30)
            )
    exchange(copy, other)
    arguments = {
        "train": ["train", "--data", copy, "--out", run, "--updates", 20],
        "resume": ["resume", run],
        "evaluate": ["evaluate", run],
        "check": ["data", "check", copy],
    }
    called = cli(*arguments[command], "--json")
    assert_refused(called, BAD_DATA, str(copy), ".parquet has changed since it was written")
    assert (command != "train") == run.exists() or command == "check"


def test_the_summary_of_another_run_is_refused(cli: Cli, data: Path, base: Path, tmp_path: Path) -> None:
    run = trained(data, tmp_path / "run", seed=1)
    shutil.copy(base / "summary.json", run / "summary.json")
    assert_refused(cli("evaluate", run), BAD_RUN, "its summary.json is of another run than config.toml")


TRACE = "download,upload\n1,2\n3,1\n0.5,4\n"
EDITED = "download,upload\n1,2\n3,1\n0.5,400\n"
LINKS = "".join(f"{i} {(i + 1) % 6}\n" for i in range(6))
FILES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "delay trace": ({"algorithm": "fedasync"}, "delay_law", "delay_trace", "trace"),
    "edge list": ({"algorithm": "pars-push"}, "graph", "edge_list", "file"),
}


@pytest.mark.parametrize("checkpoint_every", [10, 1000], ids=["checkpoint", "none"])
@pytest.mark.parametrize("change", ["edited", "gone", "touched"])
@pytest.mark.parametrize("kind", FILES)
def test_a_run_goes_on_with_the_files_that_it_began_with(
    cli: Cli, data: Path, tmp_path: Path, kind: str, change: str, checkpoint_every: int
) -> None:
    given, chooser, name, choice = FILES[kind]
    file = tmp_path / "file"
    content = TRACE if kind == "delay trace" else LINKS
    file.write_text(content)
    settings = resolve(
        {**given, "updates": 60, "checkpoint_every": checkpoint_every}, {chooser: choice, name: str(file)}
    )
    dataset = read(data)
    train_run(settings, data, dataset, tmp_path / "whole", ignore)
    run = tmp_path / "run"
    with pytest.raises(Crash):
        train_run(settings, data, dataset, run, crash_at(30))
    if not run.exists():  # without a checkpoint a crash leaves nothing; a kill leaves the settings
        run.mkdir()
        shutil.copy(tmp_path / "whole" / "config.toml", run)
    file.write_text(content)  # which changes nothing but its time
    if change == "edited":
        file.write_text(EDITED if kind == "delay trace" else LINKS + "0 3\n")
    elif change == "gone":
        file.unlink()
    called = cli("resume", run, "--json")
    if change == "touched":
        assert called.code == 0, called.err
        model = "model.safetensors"
        assert (run / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()
    else:
        said = "has changed since" if change == "edited" else "cannot be read: No such file"
        assert_refused(called, BAD_RUN, str(run), f"{file} {said}")
        assert not (run / "summary.json").exists()
    assert cli("evaluate", tmp_path / "whole", "--json").code == 0, "which needs no such file"


def test_a_file_is_checked_again_when_it_is_read(data: Path, tmp_path: Path) -> None:
    """Between the settings and the training, which may lie minutes apart."""
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    settings = resolve(
        {"algorithm": "fedasync", "updates": 20}, {"delay_law": "trace", "delay_trace": str(file)}
    )
    file.write_text(EDITED)
    with pytest.raises(Exception, match=rf"^the delay trace {file} has changed since"):
        train_run(settings, data, read(data), tmp_path / "run", ignore)
    assert not (tmp_path / "run").exists()


def test_a_run_from_before_checksums_still_goes_on(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    with monkeypatch.context() as then:
        then.setattr("app.runs.settings.pin", lambda path: str(Path(path).absolute()))
        settings = resolve(
            {"algorithm": "fedasync", "updates": 60, "checkpoint_every": 10},
            {"delay_law": "trace", "delay_trace": str(file)},
        )
    with pytest.raises(Crash):
        train_run(settings, data, read(data), tmp_path / "run", crash_at(30))
    assert "sha256" not in (tmp_path / "run" / "config.toml").read_text()
    called = cli("resume", tmp_path / "run", "--json")
    assert called.code == 0, called.err


@pytest.mark.parametrize("written", ["", "features = 1"])
@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_a_run_of_other_features_is_refused(
    cli: Cli, base: Path, tmp_path: Path, command: str, written: str
) -> None:
    """Also where there are as many: runs from before features had a version do not tell one."""
    run = Path(shutil.copytree(base, tmp_path / "run"))
    config = (run / "config.toml").read_text()
    assert config.count(f"features = {VERSION}\n") == 1
    (run / "config.toml").write_text(config.replace(f"features = {VERSION}\n", f"{written}\n"))
    assert_refused(
        cli(command, run), BAD_RUN, "of another version of PersaRank, which computed other features"
    )
