"""What is exported says to other programs what we say ourselves; a constant scorer gains nothing by it."""

import json
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_svmlight_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what libraries do while they are imported is theirs
    import ir_measures
    import pytrec_eval
from ir_measures import RR, Success, nDCG

from app.runs.directory import open_run
from app.runs.settings import resolve
from app.runs.training import train_run
from data.schema import Dataset, ragged
from data.storage import write
from ranking.building import build
from ranking.features import feature_names
from ranking.models import NeuralModel
from ranking.persistence import save
from ranking.public_statistics import PublicStatistics
from ranking.rankers.mlp import MLP
from ranking.rankers.network import Network
from ranking.sources import Log
from tests.app.commands.test_cli_errors import BAD_DATA, BAD_RUN, USAGE, assert_refused, contents

Cli = Callable[..., Any]
Frame = Any


@pytest.fixture(scope="module")
def network(tiny_public: PublicStatistics) -> Network:
    return MLP().network(len(feature_names(tiny_public)), ())


@pytest.fixture(scope="module")
def run(
    tiny: Path, tiny_dataset: Dataset, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run whose users have models of their own, though nobody has learned them."""
    out = tmp_path_factory.mktemp("runs") / "run"
    few = {"algorithm": "fedavg", "updates": 20, "evaluations": 0}
    train_run(resolve(few, {}), tiny, tiny_dataset, out, lambda event: None)
    common = open_run(out).model(Log(tiny_dataset)).common  # type: ignore[attr-defined]
    draw = torch.Generator().manual_seed(0)
    own = common + 0.1 * torch.randn(tiny_dataset.users.num_rows, len(common), generator=draw)
    save(NeuralModel(network, common, own), out, "mlp")
    return out


@pytest.fixture(scope="module")
def missing(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same data, but of every fifth slate the first half of the pool is gone, and of every 25th all."""
    slates = tiny_dataset.slates
    pools = slates.column("pool").to_pylist()
    for number in range(0, len(pools), 5):
        pools[number] = [] if number % 25 == 0 else pools[number][len(pools[number]) // 2 :]
    kept = slates.set_column(slates.schema.get_field_index("pool"), "pool", [pools]).cast(slates.schema)
    out = tmp_path_factory.mktemp("data") / "missing"
    write(Dataset(tiny_dataset.users, tiny_dataset.queries, tiny_dataset.events, kept), out)
    return out


def exported(cli: Cli, place: Path, out: Path, *more: object) -> Any:
    called = cli("export", place, "--out", out, "--json", *more)
    assert called.code == 0, called.err
    return json.loads(called.out)


def table(folder: Path, ranking: str) -> Frame:
    rows = pq.read_table(folder / "slates.parquet").to_pandas()
    return rows[rows["ranking"] == ranking].set_index("slate")


def judged(folder: Path, ranking: str, measure: Any, qrels: str = "qrels.trec") -> dict[int, float]:
    """ir-measures' figure of every slate."""
    wanted = list(ir_measures.read_trec_qrels(str(folder / qrels)))
    ranked = list(ir_measures.read_trec_run(str(folder / f"run-{ranking}.trec")))
    return {int(m.query_id): m.value for m in ir_measures.iter_calc([measure], wanted, ranked)}


def by_trec_eval(folder: Path, ranking: str) -> dict[int, float]:
    """trec_eval's reciprocal rank of every slate in the run; it holds scores as 32-bit numbers."""
    wanted: dict[str, dict[str, int]] = defaultdict(dict)
    ranked: dict[str, dict[str, float]] = defaultdict(dict)
    for line in (folder / "qrels.trec").read_text().splitlines():
        qid, _, document, grade = line.split()
        wanted[qid][document] = int(grade)
    for line in (folder / f"run-{ranking}.trec").read_text().splitlines():
        qid, _, document, _, score, _ = line.split()
        ranked[qid][document] = float(score)
    found = pytrec_eval.RelevanceEvaluator(wanted, {"recip_rank"}).evaluate(ranked)
    return {int(qid): values["recip_rank"] for qid, values in found.items()}


def test_other_programs_find_our_figures_where_nothing_ties(cli: Cli, run: Path, tmp_path: Path) -> None:
    said = exported(cli, run, tmp_path / "out", "--yardsticks")["splits"]["test"]
    folder = tmp_path / "out" / "test"
    assert set(said["rankings"]) == {"global", "personal", "random", "popularity", "history", "oracle"}
    for ranking in ("global", "personal", "oracle", "popularity"):
        ours = table(folder, ranking)
        free = ours.index[~ours["choice_tied"]]
        assert len(free) > 50
        for measure, name in ((RR @ 10, "mrr@10"), (Success @ 10, "success@10"), (Success @ 1, "success@1")):
            theirs = judged(folder, ranking, measure)
            assert set(theirs) == set(ours.index)
            assert ours.loc[free, name].tolist() == pytest.approx([theirs[s] for s in free], abs=1e-9)
        trec = by_trec_eval(folder, ranking)
        assert (1 / ours.loc[free, "place"]).tolist() == pytest.approx([trec[s] for s in free], abs=1e-9)
        mean = said["rankings"][ranking]["mean_over_slates"]["mrr@10"]
        assert mean == pytest.approx(ours["mrr@10"].mean(), abs=1e-12)
    assert table(folder, "global")["mrr@10"].tolist() != table(folder, "personal")["mrr@10"].tolist()
    best = judged(folder, "oracle", nDCG @ 10, "qrels-reference.trec")
    chance = judged(folder, "random", nDCG @ 10, "qrels-reference.trec")
    assert np.mean(list(best.values())) > np.mean(list(chance.values())) + 0.2


def test_misses_score_0_for_others_too(cli: Cli, missing: Path, tmp_path: Path) -> None:
    """Slates whose pools are empty among them, which no run can name."""
    said = exported(cli, missing, tmp_path / "out")["splits"]["test"]
    folder = tmp_path / "out" / "test"
    ours = table(folder, "history")
    lost = ours.index[ours["place"].isna()]
    assert said["empty_pools"] == (ours["pool_size"] == 0).sum() > 0
    assert said["missed"] == ours["missed"].sum()
    assert len(lost) > said["missed"], "the own choice may be missing where others of the reference are not"
    for measure, name in ((RR @ 10, "mrr@10"), (Success @ 10, "success@10")):
        theirs = judged(folder, "history", measure)
        assert set(theirs) == set(ours.index)
        assert {theirs[s] for s in lost} == {0}
        free = ours.index[~ours["choice_tied"]]
        assert ours.loc[free, name].tolist() == pytest.approx([theirs[s] for s in free], abs=1e-9)
    wanted = defaultdict(set)
    for line in (folder / "qrels-reference.trec").read_text().splitlines():
        qid, _, _, grade = line.split()
        wanted[int(qid)].add(int(grade))
    assert all(wanted[s] == set(range(1, size + 1)) for s, size in ours["reference_size"].items())


def test_a_constant_scorer_scores_chance_in_what_is_exported(
    cli: Cli, run: Path, network: Network, tmp_path: Path
) -> None:
    """A model of zeros: no file of it says 1, nor anything but chance but for the luck of one order."""
    constant = Path(shutil.copytree(run, tmp_path / "run"))
    save(NeuralModel(network, torch.zeros(network.layout.size), None), constant, "mlp")
    said = exported(cli, constant, tmp_path / "out")["splits"]["test"]
    folder = tmp_path / "out" / "test"
    ours = table(folder, "personal")
    several = ours[ours["pool_size"] > ours["reference_size"]]
    assert len(several) == len(ours) == said["rankings"]["personal"]["slates_with_ties"]
    names = [name for name in ours.columns if "@" in name or name == "nmrr"]
    assert (several[names] < 1).to_numpy()[:, [n for n, c in enumerate(names) if c != "success@10"]].all()
    harmonic = np.array([np.sum(1 / np.arange(1, min(size, 10) + 1)) / size for size in ours["pool_size"]])
    assert np.allclose(ours["mrr@10"], harmonic)
    for theirs in (judged(folder, "personal", RR @ 10), by_trec_eval(folder, "personal")):
        found = np.array([theirs[s] for s in ours.index])
        error = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - harmonic.mean()) < 4 * error + 0.01
        assert found.mean() < 0.5
    trec = by_trec_eval(folder, "personal")
    choices = dict(line.split()[::2][:2] for line in (folder / "qrels.trec").read_text().splitlines())
    for line in (folder / "run-personal.trec").read_text().splitlines():
        qid, _, document, rank, _, _ = line.split()
        if choices[qid] == document:
            assert trec[int(qid)] == pytest.approx(1 / int(rank)), "trec_eval finds the order that is written"


def test_the_table_of_slates_is_what_evaluate_says(
    cli: Cli, run: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """At another cut-off; and names of metrics follow it everywhere."""
    exported(cli, run, tmp_path / "out", "--yardsticks", "--cutoff", 3, "--format", "parquet")
    assert [p.name for p in (tmp_path / "out" / "test").iterdir()] == ["slates.parquet"]
    called = cli("evaluate", run, "--cutoff", 3, "--json")
    result = json.loads(called.out)["runs"][0]
    assert result["cutoff"] == 3
    assert set(result["personal_minus_global"]) == {"nmrr", "mrr@3"}
    for ranking, metrics in result["metrics"].items():
        ours = table(tmp_path / "out" / "test", ranking)
        for name in ("accuracy@3", "plain_accuracy@3", "nmrr", "mrr@3", "success@1", "success@3"):
            assert ours.groupby("user")[name].mean().mean() == pytest.approx(metrics[name], abs=1e-12), name
        free = ours[~ours["choice_tied"]]
        assert np.allclose(free["mrr@3"], np.where(free["place"] <= 3, 1 / free["place"], 0))
        assert (free["success@3"] == (free["place"] <= 3)).all()
    assert len(ours) == result["slates"]
    names = tiny_dataset.users.column("name").to_pylist()
    assert set(ours["user"]) <= set(names)
    prefixes = tiny_dataset.slates.column("prefix").to_pylist()
    assert ours["prefix"].tolist() == [prefixes[slate] for slate in ours.index]
    report = json.loads((run / "report.json").read_text())
    assert set(report["users"][0]["personal"]) == {"accuracy@3", "mrr@3", "nmrr"}
    mean = np.mean([row["personal"]["mrr@3"] for row in report["users"]])
    assert mean == pytest.approx(report["result"]["metrics"]["personal"]["mrr@3"], abs=1e-12)
    called = cli("evaluate", run, "--cutoff", 1)
    assert called.code == 0
    assert "MRR@1 " in called.out
    assert "@10" not in called.out
    assert cli("evaluate", run, "--cutoff", 0).code == USAGE


def test_features_and_places_of_a_log(cli: Cli, tiny: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    exported(cli, tiny, tmp_path / "out", "--format", "svmlight")
    file = tmp_path / "out" / "test" / "features.svmlight"
    X, y, qid = load_svmlight_file(str(file), query_id=True)
    slates = build(tiny_dataset, None, "test")
    assert np.array_equal(X.toarray().astype(np.float32), slates.features.numpy())
    size, wanted = slates.offsets.diff().numpy(), slates.wanted.numpy()
    position = slates.position.numpy()
    assert np.array_equal(y, np.where(position > 0, np.repeat(wanted, size) + 1 - position, 0))
    of_event = tiny_dataset.slates.column("event_id").to_numpy()[np.unique(qid)]
    assert set(tiny_dataset.events.column("split").take(of_event.tolist()).to_pylist()) == {"test"}
    pools = ragged(tiny_dataset.slates, "pool")
    last = file.read_text().splitlines()[-1]
    assert last.endswith(f" docid:{pools[1][pools[0][int(qid[-1]) + 1] - 1]}")
    user = tiny_dataset.events.column("user_id")[int(of_event[-1])].as_py()
    name = tiny_dataset.users.column("name")[user].as_py()
    assert f"# user:{name.replace(' ', '%20')} " in last


def test_what_cannot_be_exported(cli: Cli, run: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_refused(cli("export", tmp_path / "no", "--out", out), BAD_RUN, "is not a run directory")
    assert_refused(cli("export", tiny, "--data", tiny, "--out", out), BAD_DATA, "is a dataset itself")
    for option, value in (("--format", "csv"), ("--split", "all")):
        called = cli("export", run, "--out", out, option, value)
        assert called.code == USAGE
        assert value in called.err
    assert not out.exists()
    exported(cli, run, out, "--format", "trec")
    before = contents(out)
    assert_refused(cli("export", run, "--out", out), BAD_DATA, "exists and is not an empty directory")
    assert contents(out) == before


def test_an_interrupted_export_leaves_nothing(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.reports.exports.export

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.reports.exports.export, "slate_metrics", interrupted)
    assert cli("export", run, "--out", tmp_path / "out").code == 1
    assert not (tmp_path / "out").exists()


def test_models_of_each_user_alone_have_no_common_ranking(
    cli: Cli, run: Path, network: Network, tmp_path: Path
) -> None:
    alone = Path(shutil.copytree(run, tmp_path / "run"))
    save(NeuralModel(network, None, torch.randn(20, network.layout.size)), alone, "mlp")
    said = exported(cli, alone, tmp_path / "out", "--split", "validation")
    assert list(said["splits"]) == ["validation"]
    assert list(said["splits"]["validation"]["rankings"]) == ["personal"]
