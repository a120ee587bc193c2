"""Completion as shells ask for it: the names that fit, at once, and never an error."""

import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete, get_completion_class
from typer.main import get_command

from app.commands import completion, known
from app.commands.line import commands
from app.runs.checks import ConfigError
from app.runs.settings import resolve
from federated.algorithms import ALGORITHMS, FITTED
from ranking.rankers import RANKERS
from tests.app.commands.test_cli_errors import Cli

ROOT = Path(__file__).resolve().parents[3]
PERSARANK = "import sys, persarank; sys.argv[0] = 'persarank'; persarank.main()"
COMPLETE = "_PERSARANK_COMPLETE"
COMMAND = get_command(commands)  # which makes typer's shells known


def offered(*words: str) -> list[str]:
    """What fits at the last of the words."""
    shell = ShellComplete(COMMAND, {}, "persarank", COMPLETE)
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_names_of_the_tables() -> None:
    assert offered("train", "--algorithm", "") == list(ALGORITHMS | FITTED)
    assert offered("train", "--algorithm", "persa-fl-me") == ["persa-fl-me", "persa-fl-me-buffered"]
    assert offered("train", "--ranker", "") == list(RANKERS)
    assert offered("train", "--objective", "m") == ["maml", "moreau"]
    assert offered("train", "--schedule", "g") == ["gossip"]
    assert offered("train", "--preset", "") == ["talk"]
    assert offered("train", "--keep", "") == ["last", "best"]
    assert offered("evaluate", "--split", "") == ["train", "validation", "test"]
    assert offered("compare", "--by", "mrr") == ["mrr@10"]
    assert offered("export", "--format", "t") == ["trec"]
    assert offered("data", "import", "--protocol", "") == ["default", "published"]
    assert offered("reproduce", "m") == ["memrl", "membership", "mnist"]
    assert offered("tr") == ["train"]


def test_names_that_fit_what_the_line_says() -> None:
    assert offered("train", "--ranker", "forest", "--algorithm", "") == ["local", "pooled", "federated"]
    assert offered("train", "--algorithm", "federated", "--ranker", "") == ["forest"]
    assert offered("train", "--loss", "") == list(RANKERS["mlp"].losses)
    assert offered("train", "--ranker", "lightgbm", "--loss", "") == list(RANKERS["lightgbm"].losses)
    assert offered("train", "--algorithm", "memrl", "--loss", "") == ["nmrr"]
    assert offered("tune", "--algorithm", "federated", "--loss", "") == list(RANKERS["forest"].losses)


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "federated"])
@pytest.mark.parametrize("ranker", RANKERS)
def test_every_setting_that_there_is(algorithm: str, ranker: str) -> None:
    try:
        parts = resolve({"algorithm": algorithm, "ranker": ranker}, {}).parts()
    except ConfigError:
        return
    line = ("train", "--algorithm", algorithm, "--ranker", ranker, "--set")
    known_keys = [f"{field.name}=" for part in parts.values() for field in fields(part)]
    assert sorted(offered(*line, "")) == sorted(known_keys)


def test_settings_of_a_cell_of_the_grid() -> None:
    line = ("train", "--algorithm", "fedavg", "--objective", "maml", "--schedule", "gossip", "--set")
    assert {"alpha=", "graph=", "lr="} <= set(offered(*line, ""))
    assert "cohort=" not in offered(*line, "")


def test_values_of_a_setting() -> None:
    line = ("train", "--algorithm", "pars-push", "--set")
    assert offered(*line, "graph=r") == ["graph=ring", "graph=regular", "graph=random"]
    assert offered(*line, "asleep_too=") == ["asleep_too=true", "asleep_too=false"]
    assert offered(*line, "least") == ["least_weight=", "least_weight=0.1"], (
        "the default goes with the only key"
    )
    assert offered(*line, "schedule.graph=st") == []
    assert offered(*line, "schedule.step") == [
        "schedule.step_sizes=", "schedule.step_sizes=constant", "schedule.step_sizes=1/t"
    ]  # fmt: skip
    assert offered("train", "--algorithm", "fedavg", "--set", "graph=") == []


def test_what_tune_tries() -> None:
    assert offered("tune", "--over", "los") == ["loss=", *(f"loss={name}" for name in RANKERS["mlp"].losses)]
    assert offered("tune", "--over", "loss=bce,s") == ["loss=bce,softmax"]
    assert offered("tune", "--over", "sampling=") == ["sampling=random", "sampling=in-order"]


def test_a_preset_a_file_and_a_run_say_what_is_trained(tmp_path: Path) -> None:
    assert "concurrency=" in offered("train", "--preset", "talk", "--set", "")
    (tmp_path / "config.toml").write_text('[run]\nalgorithm = "persa-fl-maml"\n')
    line = ("train", "--config", str(tmp_path / "config.toml"), "--set")
    assert "alpha=" in offered(*line, "")
    own = {f"{name}=" for name in resolve({"algorithm": "persa-fl-maml"}, {}).personal_settings}
    assert {pair for pair in offered("resume", str(tmp_path), "--set", "") if pair.endswith("=")} == own


def test_runs(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("runs/mine", "runs/other", "alone", "runs/a b;c", ".hidden/run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.toml").touch()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    for words in (["evaluate"], ["suggest"], ["app"], ["app", "alone"]):
        assert offered(*words, "") == ["alone", "runs/mine", "runs/other"]
    assert offered("resume", "runs/m") == ["runs/mine"]
    assert offered("compare", "alone", "--baseline", f"{tmp_path}/ru") == [
        f"{tmp_path}/runs/mine", f"{tmp_path}/runs/other"
    ]  # fmt: skip
    assert offered("evaluate", "none/") == []


def test_nothing_is_said_of_errors(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[run")
    for line in (
        ("train", "--config", str(tmp_path / "config.toml"), "--set", ""),
        ("train", "--config", str(tmp_path / "none.toml"), "--loss", ""),
        ("train", "--algorithm", "fedavgg", "--set", ""),
        ("train", "--ranker", "nobody", "--loss", ""),
        ("train", "--out", "\0", "--ranker", "f"),
    ):
        assert offered(*line) in ([], ["forest"])


# the shells


def asked(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """The command line, called with these variables."""
    command = [sys.executable, *options, "-c", PERSARANK]
    path = os.pathsep.join([str(ROOT), str(ROOT / "app" / "door")])
    return subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_is_quick() -> None:
    """None of what takes seconds is imported, once the names are kept."""
    known.known()
    words = {"COMP_WORDS": "persarank\ntrain\n--set\ngra", "COMP_CWORD": "3", COMPLETE: "complete_bash"}
    ended = asked(words | {"COMP_WORDS": "persarank\ntrain\n--set\nser"}, "-X", "importtime")
    assert ended.stdout.startswith("server_optimiser=\n")
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in ended.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "pydantic",
        "streamlit",
        "ranking",
        "federated",
    }


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash(tmp_path: Path) -> None:
    """As bash has it: words broken at =, and replies that stand for the last piece alone."""
    program, home = tmp_path / "bin" / "persarank", tmp_path / "home"
    program.parent.mkdir()
    home.mkdir()
    door = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'app' / 'door')!r}]; {PERSARANK}"
    program.write_text(f"#!{sys.executable}\n{door.replace('; ', chr(10))}\n")
    program.chmod(0o755)
    script = """
        persarank --install-completion >&2 && . "$HOME/.bash_completions/persarank.sh"
        tried() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _persarank_completion persarank
            echo "${COMPREPLY[*]}"
        }
        tried persarank train --algorithm = fedb
        tried persarank train --algorithm pars-push --set graph =
        tried persarank train --algorithm pars-push --set graph = sc
        tried persarank tune --over loss = bce,s
    """
    variables = os.environ | {"HOME": str(home), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", script], env=variables, capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines() == [
        "fedbuff",
        "complete ring cycle exponential regular random scale-free file",
        "scale-free",
        "bce,softmax",
    ], ended.stderr
    assert sorted(path.name for path in home.iterdir()) == [".bash_completions", ".bashrc"]


def test_zsh_and_fish(monkeypatch: Any) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "persarank train --algorithm pars-push --set graph=r")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    answers = {}
    for shell in ("zsh", "fish"):
        kind = get_completion_class(shell)
        assert kind is not None
        answers[shell] = kind(COMMAND, {}, "persarank", COMPLETE).complete()
    assert answers["zsh"] == '_arguments \'*: :(("graph=ring"\n"graph=regular"\n"graph=random"))\''
    assert answers["fish"] == "graph=ring\ngraph=regular\ngraph=random"


# what is kept of the tables


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: Any) -> Path:
    """Where the names are kept, in this test."""
    place = tmp_path / "kept" / "known.json"
    monkeypatch.setattr(known, "_place", lambda: place)
    return place


def again() -> Any:
    return known.known.__wrapped__()


def test_names_are_kept_until_a_source_changes(kept: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(known, "_gathered", lambda: {"keep": ["last", "best"]})
    assert again() == {"keep": ["last", "best"]}
    kept.write_text(kept.read_text().replace("last", "first"))
    assert again() == {"keep": ["first", "best"]}, "it is read"
    monkeypatch.setattr(known, "_state_of_sources", lambda: "another")
    assert again() == {"keep": ["last", "best"]}, "it is gathered anew"
    kept.write_text("{")
    assert again() == {"keep": ["last", "best"]}, "a damaged file is none"


def test_a_changed_source_is_noticed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(known, "ROOT", tmp_path)
    source = tmp_path / "federated" / "algorithms.py"
    source.parent.mkdir()
    states = []
    for text in ("A = 1", "A = 12", None):
        source.write_text(text) if text else source.rename(source.with_name("others.py"))
        states.append(known._state_of_sources())
    assert len(set(states)) == 3


def test_where_nothing_can_be_kept_names_are_gathered(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(known, "_gathered", lambda: {"keep": []})
    for place in (tmp_path / "file" / "known.json", None):
        monkeypatch.setattr(known, "_place", lambda place=place: place)
        assert again() == {"keep": []}


def test_words_around_an_equals_sign_are_put_together() -> None:
    assert completion._whole(["--set", "graph", "=", "st"]) == ["--set", "graph=st"]
    assert completion._whole(["--algorithm", "=", "fedavg", "--set"]) == ["--algorithm=fedavg", "--set"]
    assert completion._whole(["--set", "lr", "=", "--seed"]) == ["--set", "lr=", "--seed"]


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_a_shell_without_completion_is_a_usage_error(
    option: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("completion", "_completion_shared"):
        monkeypatch.setattr(f"typer.{module}._get_shell_name", lambda: "ksh")
    called = cli(option)
    assert called.code == 2
    assert "bash, zsh, fish and PowerShell" in called.err
