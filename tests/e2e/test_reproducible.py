"""Equal seeds give equal files in two processes, whatever PYTHONHASHSEED and the number of threads say."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PERSARANK = [sys.executable, "-c", "from app.commands.main import main; main()"]
FEW = ("--set", "personal_samples=5")
"""Slates of a user that own models are made from: enough to tell bits apart."""

CASES = {
    "persa-fl-me × mlp": [*FEW, "--updates", "60"],
    "persa-fl-maml × mlp-cnn": [
        *FEW,
        "--algorithm",
        "persa-fl-maml",
        "--ranker",
        "mlp-cnn",
        "--updates",
        "12",
    ],
    "pars-push × mlp": [*FEW, "--algorithm", "pars-push", "--updates", "40"],
    "local × forest": ["--algorithm", "local", "--ranker", "forest", "--set", "n_estimators=5"],
    "federated × forest": ["--algorithm", "federated", "--ranker", "forest", "--set", "n_estimators=5"],
    "pooled × lightgbm": ["--algorithm", "pooled", "--ranker", "lightgbm", "--set", "n_estimators=5"],
}


def hashes(directory: Path) -> dict[str, str]:
    """Every file that the run's seed decides; summary.json holds wall times."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "summary.json")
    return {str(f.relative_to(directory)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def start(
    tiny: Path, out: Path, options: list[str], hash_seed: str, threads: int = 1
) -> subprocess.Popen[bytes]:
    command = [*PERSARANK, "train", "--data", str(tiny)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen([*command, "--out", str(out), "--json", *options], env=environment)


@pytest.mark.parametrize("case", CASES)
def test_same_seed_same_files(case: str, tiny: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a", tmp_path / "b"]
    runs = [start(tiny, out, CASES[case], seed) for out, seed in zip(outs, ("1", "2"), strict=True)]
    assert [run.wait(timeout=300) for run in runs] == [0, 0]
    first, second = map(hashes, outs)
    assert first == second
    assert {"config.toml", "metrics.jsonl", "model.json"} < set(first)


UPLOADS = {
    "private": ["--privacy", "epsilon=8", "delta=1e-2", "noise=tree", "quantile=.5", "--compress", "bits=8"],
    "defended": ["--attack", "alie", "share=.2", "--defence", "nnm+krum", "f=2", "--compress", "top_k=.05"],
    "bounded": ["--attack", "sign-flip", "share=.1", "--defence", "clip", "clip=1", "--compress", "bits=8"],
}
"""What is done to updates beside averaging them: the same with any threads, too."""


@pytest.mark.parametrize(
    ("algorithm", "uploads"),
    [
        ("memrl", ""),
        ("local", ""),
        ("persa-fl-ditto", "private"),
        ("ditto", "defended"),
        ("pars-push-me", "bounded"),
    ],
)
def test_one_two_and_four_threads_give_the_same_bits(
    algorithm: str, uploads: str, tiny: Path, tmp_path: Path
) -> None:
    """Twenty clients make two stacks, which threads share; personal models are made in one or more."""
    outs = {threads: tmp_path / str(threads) for threads in (1, 2, 4)}
    options = ["--algorithm", algorithm, "--updates", "60", "--evaluations", "2", *UPLOADS.get(uploads, [])]
    options += ["--set", "buffer=4"] if uploads == "private" else []
    options += [*FEW, "--set", "personal_steps=5"] if algorithm != "local" else []
    runs = [start(tiny, out, options, "0", threads) for threads, out in outs.items()]
    assert [run.wait(timeout=300) for run in runs] == [0, 0, 0]
    first, *others = (hashes(out) for out in outs.values())
    assert all(other == first for other in others)


def test_data_simulate_twice(tmp_path: Path) -> None:
    command = [*PERSARANK, "data", "simulate", "--users", "5"]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [*command, "--out", str(tmp_path / seed), "--json"],
            env=environment,
            check=True,
            capture_output=True,
        )
    assert hashes(tmp_path / "1") == hashes(tmp_path / "2")
