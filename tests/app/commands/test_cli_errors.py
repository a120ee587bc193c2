"""What goes wrong ends in a documented exit code and one sentence, and spoils nothing already written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

import app.commands.main
from app.runs.checks import ConfigError
from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write

USAGE, BAD_DATA, BAD_CONFIG, BAD_RUN = 2, 3, 4, 5


class Called(Protocol):
    code: int
    out: str
    err: str


Cli = Callable[..., Called]


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the tiny dataset; use `run`, a copy, to spoil."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train_run(resolve({"algorithm": "fedavg", "updates": 20}, {}), tiny, read(tiny), out, lambda event: None)
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def assert_refused(called: Called, code: int, *parts: str) -> None:
    """One sentence on stderr with these parts, nothing on stdout, and this exit code."""
    assert called.code == code, called.err
    assert called.out == ""
    assert called.err.startswith("persarank: ")
    assert called.err.endswith("\n")
    assert len(called.err.splitlines()) == 1, called.err
    for part in parts:
        assert part in called.err


def train(cli: Cli, data: Path, out: Path, *more: object) -> Called:
    return cli(
        "train", "--data", data, "--out", out, "--algorithm", "fedavg", "--updates", 20, "--json", *more
    )


# 2: usage


IMPORT = ["data", "import", "x.csv", "--out", "x", "--user", "u", "--time", "t", "--query", "q"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["trian"], "No such command"),
        (["train"], "Missing option"),
        (["data", "simulate", "--out", "x", "--users", "0"], "--users"),
        (["data", "simulate", "--out", "x", "--strength", "11"], "--strength"),
        (["data", "import", "x.csv", "--out", "x", "--user", "u", "--time", "t"], "--query"),
        ([*IMPORT, "--day-first", "--month-first"], "--day-first and --month-first contradict each other"),
        ([*IMPORT, "--day-first", "--time-format", "%d.%m.%Y"], "--time-format and --day-first contradict"),
        ([*IMPORT, "--time-format", "%H:%M"], "has no year and no month and no day"),
        ([*IMPORT, "--encoding", "klingon"], "the encoding 'klingon' is not known"),
        (["evaluate", "x", "--split", "dev"], "--split is one of train, validation, test, not 'dev'"),
        (["evaluate", "x", "--average", "median"], "--average is one of users, slates, not 'median'"),
        (["demo", "--port", "0"], "--port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage(cli: Cli, arguments: list[str], part: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    called = cli(*arguments)
    assert (called.code, called.out) == (USAGE, "")
    assert part in called.err
    assert "Traceback" not in called.err
    assert list(tmp_path.iterdir()) == []


# 4: bad config


PUSH = ["--algorithm", "pars-push"]
CONFIGS: dict[str, tuple[list[str], str]] = {
    "algorithm": (["--algorithm", "fedavgg"], "unknown algorithm 'fedavgg'; did you mean 'fedavg'?"),
    "ranker": (["--ranker", "mlpcnn"], "unknown ranker 'mlpcnn'; did you mean 'mlp-cnn'?"),
    "loss": (["--loss", "sofmax"], "unknown loss of mlp 'sofmax'; did you mean 'softmax'?"),
    "key": (
        ["--set", "loca_steps=3"],
        "unknown setting 'loca_steps' for fedavg; did you mean 'local_steps'?",
    ),
    "not a pair": (["--set", "lr"], "--set 'lr': write key=value"),
    "out of bounds": (["--set", "lr=-1"], "local.lr = -1: Input should be greater than 0"),
    "no updates": (["--updates", "0"], "updates = 0: it must be a whole number from 1 to"),
    "trees": (["--ranker", "forest"], "forest is fitted, not trained by gradients"),
    "no file": (["--config", "none.toml"], "none.toml cannot be read"),
    "no delay": ([*PUSH, "--set", "max_delay=0"], "schedule.max_delay = 0: Input should be greater than or"),
    "no graph": ([*PUSH, "--set", "graph=star"], "schedule.graph = 'star': Input should be 'complete'"),
    "graph or file": ([*PUSH, "--set", "edge_list=a.txt"], "graph = file and edge_list = FILE belong togeth"),
    "weight": ([*PUSH, "--set", "least_weight=1"], "schedule.least_weight = 1: Input should be less than 1"),
}


@pytest.mark.parametrize(("more", "part"), CONFIGS.values(), ids=CONFIGS)
def test_bad_config(cli: Cli, tiny: Path, tmp_path: Path, more: list[str], part: str) -> None:
    assert_refused(train(cli, tiny, tmp_path / "out", *more), BAD_CONFIG, part)
    assert list(tmp_path.iterdir()) == []


def test_bad_config_file(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[locl]\nlr = 0.1\n")
    called = train(cli, tiny, tmp_path / "out", "--config", tmp_path / "c.toml")
    assert_refused(called, BAD_CONFIG, "unknown table 'locl'; did you mean 'local'?")


EDGES = {
    "in pieces": ("0 1\n1 0", "not strongly connected: nothing gets from node 0 to node 2"),
    "one way": ("\n".join(f"{i} {i + 1}" for i in range(19)), "nothing gets from node 1 to node 0"),
    "a loop": ("0 0", "a link from node 0 to itself"),
    "a stranger": ("0 20", "names node 20, but nodes are users 0 to 19"),
    "words": ("zero one", "must hold one link a line: two node numbers"),
}


@pytest.mark.parametrize(("edges", "part"), EDGES.values(), ids=EDGES)
def test_a_bad_network_is_bad_data(cli: Cli, tiny: Path, tmp_path: Path, edges: str, part: str) -> None:
    (tmp_path / "edges.txt").write_text(edges)
    more = [*PUSH, "--set", "graph=file", "--set", f"edge_list={tmp_path / 'edges.txt'}"]
    assert_refused(train(cli, tiny, tmp_path / "out", *more), BAD_DATA, part)
    assert not (tmp_path / "out").exists()


def test_a_user_who_would_never_learn_is_named(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    """In a sparse random graph some nodes have much more weight than others, who here wait for ever."""
    more = ["--algorithm", "push-sum", "--updates", 10**6, "--evaluations", 0]
    more += ["--set", "least_weight=0.9", "--set", "graph=random", "--set", "degree=2"]
    called = train(cli, tiny, tmp_path / "out", *more)
    assert_refused(called, BAD_CONFIG, "has been under least_weight = 0.9 for 20 rounds", "a smaller one")


def test_divergence_names_the_way_out(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    called = train(cli, tiny, tmp_path / "out", "--set", "lr=1e30")
    assert_refused(called, BAD_CONFIG, "were refused (not finite)", "try a smaller lr")
    assert not (tmp_path / "out").exists(), "half a run would block the next try"


# 3: bad data


def test_train_on_no_dataset(cli: Cli, tmp_path: Path) -> None:
    for data in (tmp_path, tmp_path / "none"):
        assert_refused(train(cli, data, tmp_path / "out"), BAD_DATA, "is not a PersaRank dataset")
    assert list(tmp_path.iterdir()) == []


def test_simulate_and_import_refuse_what_exists(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    before = contents(tiny)
    assert_refused(cli("data", "simulate", "--out", tiny, "--users", 2), BAD_DATA, "choose another --out")
    (tmp_path / "log.csv").write_text("u,t,q\n" + "".join(f"a,2024-01-0{i},ls\n" for i in range(1, 7)))
    columns = ["--user", "u", "--time", "t", "--query", "q"]
    called = cli("data", "import", tmp_path / "log.csv", "--out", tiny, *columns)
    assert_refused(called, BAD_DATA, "choose another --out")
    assert contents(tiny) == before


def test_import_names_the_cell(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("u,t,q\na,2024-01-01,ls\na,noon,ls\n")
    columns = ["--user", "u", "--time", "t", "--query", "q"]
    called = cli("data", "import", tmp_path / "log.csv", "--out", tmp_path / "out", *columns)
    assert_refused(called, BAD_DATA, "log.csv, line 3, column 't': 'noon' is not a time")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["slates.parquet", "truth/utilities.parquet"])
def test_check_finds_one_flipped_bit(cli: Cli, tiny: Path, tmp_path: Path, name: str) -> None:
    data = Path(shutil.copytree(tiny, tmp_path / "data"))
    assert cli("data", "check", data, "--json").code == 0
    content = bytearray((data / name).read_bytes())
    content[len(content) // 2] ^= 1
    (data / name).write_bytes(content)
    assert_refused(cli("data", "check", data), BAD_DATA, name)


# 5: broken run directory


def test_train_refuses_what_exists(cli: Cli, tiny: Path, run: Path) -> None:
    before = contents(run.parent)
    assert_refused(train(cli, tiny, run), BAD_RUN, "exists and is not empty: choose another --out")
    assert_refused(train(cli, tiny, run / "config.toml"), BAD_RUN, "exists and is not empty")
    assert contents(run.parent) == before


BROKEN: dict[str, tuple[str, str | None, str]] = {
    "no config": ("config.toml", None, "is not a run directory: it has no config.toml"),
    "no summary": ("summary.json", None, "is not finished: it has no summary.json"),
    "no TOML": ("config.toml", "[run", "is a broken run directory"),
    "unknown key": ("config.toml", "[run]\ncolour = 3\n", "unknown setting 'colour'"),
    "no data": ("config.toml", "[run]\nseed = 1\n", "is a broken run directory"),
    "no JSON": ("summary.json", '{"run": ', "is a broken run directory"),
}


@pytest.mark.parametrize(("name", "text", "part"), BROKEN.values(), ids=BROKEN)
def test_broken_runs(cli: Cli, run: Path, name: str, text: str | None, part: str) -> None:
    (run / name).unlink()
    if text is not None:
        (run / name).write_text(text)
    before = contents(run)
    assert_refused(cli("evaluate", run), BAD_RUN, part)
    assert contents(run) == before


def test_no_run_at_all(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    for directory in (tiny, tmp_path, tmp_path / "none"):
        assert_refused(cli("evaluate", directory), BAD_RUN, f"{directory} is not a run directory")


def test_moved_data(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    data, run = Path(shutil.copytree(tiny, tmp_path / "data")), tmp_path / "run"
    assert train(cli, data, run).code == 0
    here = cli("evaluate", run, "--json")
    moved = data.rename(tmp_path / "moved")
    before = contents(run)
    assert_refused(cli("evaluate", run), BAD_RUN, f"{data} is gone; name it with --data")
    assert contents(run) == before
    there = cli("evaluate", run, "--json", "--data", moved)
    assert (here.code, there.code) == (0, 0)
    assert here.out == there.out


def test_a_run_is_not_judged_on_other_data(cli: Cli, run: Path, tmp_path: Path) -> None:
    write(simulate(users=20, seed=1), tmp_path / "other")
    before = contents(run)
    called = cli("evaluate", run, "--data", tmp_path / "other")
    assert_refused(called, BAD_RUN, "was trained on data", "its personal models belong to other users")
    assert contents(run) == before


def test_tracebacks_only_with_debug(cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PERSARANK_DEBUG", "")
    arguments = ["train", "--data", str(tiny), "--out", str(tmp_path / "out"), "--algorithm", "fedavgg"]
    assert_refused(cli(*arguments), BAD_CONFIG, "fedavgg")
    with pytest.raises(ConfigError):
        app.commands.main.main(["--debug", *arguments])
