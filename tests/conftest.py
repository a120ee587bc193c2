"""What all tests share: one small simulated dataset, the command line in process, the real data's place."""

import gc
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what libraries do while they are imported is theirs
    import app.commands.line
    import app.commands.main
from data.schema import Dataset
from data.simulator import simulate
from data.storage import read, write
from federated.tasks.ranking import RankingTask
from ranking.building import build
from ranking.public_statistics import PublicStatistics
from ranking.rankers.mlp import MLP
from ranking.slates import Slates

for heard, by in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if (
        signal.getsignal(heard) == signal.SIG_IGN
    ):  # as under nohup: programs that tests start would inherit it
        signal.signal(heard, by)

gc.set_threshold(10_000)  # as commands have it, see `app.commands.main`
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
TESTS = Path(__file__).resolve().parent
SLOW = (
    "e2e/",
    "benchmarks/",
    "oracles/test_forgetful_checkpoints.py",
    "oracles/test_injected_defects.py",
    "oracles/test_push_sum_by_hand.py",
    "oracles/test_push_sum_mass.py",
    "oracles/test_reductions.py",
    "app/commands/test_logs.py",
    "app/commands/test_other_data.py",
    "app/experiments/tuning/",
    "app/reports/pages/test_in_a_browser.py",
    "app/runs/test_streaming.py",
    "app/runs/test_until.py",
    "contracts/test_resume.py",
    "contracts/test_fuzz.py",
    "contracts/test_tiny_logs.py",
    "contracts/test_verdicts.py",
    "data/reading/test_round_trip.py",
    "data/test_history.py",
    "data/test_pools.py",
    "federated/engines/ray/test_on_ray.py",
    "federated/tasks/test_navigation.py",
)
"""What `make check` leaves out: two folders, and of the rest the slowest files."""

REAL_DATA = TESTS.parents[1] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow."""
    for item in items:
        if item.path.relative_to(TESTS).as_posix().startswith(SLOW):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """From now on garbage is looked for only among what tests make: all that is imported stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 20 users."""
    out = tmp_path_factory.mktemp("data") / "tiny"
    write(simulate(users=20, seed=0), out)
    return out


@pytest.fixture(scope="session")
def tiny_dataset(tiny: Path) -> Dataset:
    return read(tiny, truth=True)


@pytest.fixture(scope="session")
def tiny_public(tiny_dataset: Dataset) -> PublicStatistics:
    return PublicStatistics(tiny_dataset)


@pytest.fixture(scope="session")
def tiny_slates(tiny_dataset: Dataset, tiny_public: PublicStatistics) -> Slates:
    return build(tiny_dataset, tiny_public).all()


def _real(name: str) -> Path:
    path = REAL_DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here: see data/README.md for where to get it")
    return path


@pytest.fixture(scope="session")
def shell_csv() -> Path:
    """The real log of shell commands."""
    return _real("shell_commands.csv")


@pytest.fixture(scope="session")
def buildroot_csv() -> Path:
    """The real log of package commits."""
    return _real("buildroot_scope.csv")


@dataclass(frozen=True)
class Called:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Run `persarank` with these arguments, in this process."""

    def call(*arguments: object) -> Called:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.commands.main.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Called(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def board() -> RankingTask:
    """A checkerboard: users of even number want the candidates marked +1, the others those marked −1.

    A model for all can only score chance; a personal one can be perfect.
    """
    users, each, size = 8, 6, 6
    draw = torch.Generator().manual_seed(0)
    user = torch.arange(users).repeat_interleave(each)
    mark = torch.stack([torch.randperm(size, generator=draw) % 2 * 2 - 1 for _ in user]).float()
    wanted = mark == torch.where(user % 2 == 0, 1, -1)[:, None]
    slates = Slates(
        features=torch.stack([mark, torch.ones_like(mark)], dim=-1),
        mask=torch.ones(len(user), size, dtype=torch.bool),
        position=(wanted.cumsum(1) * wanted).short(),
        wanted=torch.full((len(user),), size // 2, dtype=torch.int16),
        user=user,
        candidates=torch.zeros(len(user), size, dtype=torch.int32),
        typed=torch.ones(len(user), dtype=torch.int16),
    )
    return RankingTask.of(MLP(hidden=(16,)).network(2, []), "bce", slates, slates, users)
