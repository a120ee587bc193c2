"""What is exported ranks elsewhere as the run does here, and holds nothing that others may not know."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from app.devices.export import ONNX, WEB, export_models
from app.runs.checks import ConfigError
from app.suggestions.suggester import Suggester
from data.schema import DataError
from data.storage import fresh
from ranking.shared_forest import SharedForest
from tests.app.devices.conftest import Suggesters
from tests.app.devices.moments import moments
from tests.app.devices.reader import Reader


def exported(suggester: Suggester, out: Path, kind: str = ONNX, **chosen: Any) -> dict[str, Any]:
    with fresh(out):
        return export_models(suggester, out, kind, **chosen)


@pytest.mark.parametrize(
    ("data", "ranker", "each"),
    [
        ("simulated", "mlp", 100),
        ("simulated", "mlp-cnn", 100),
        ("all", "mlp", 40),
        ("bounded", "mlp-cnn", 40),
        ("simulated bounded", "mlp", 40),
        ("strict", "mlp", 40),
        ("all", "lightgbm", 20),
        ("all", "forest", 20),
        ("all", "federated forest", 20),
    ],
)
def test_another_program_computes_the_same_lists(
    data: str, ranker: str, each: int, suggesters: Suggesters, tmp_path: Path
) -> None:
    """1,000 moments on simulated users for each network, of somebody new and of nine users."""
    suggester = suggesters(data, ranker)
    exported(suggester, tmp_path / "out", everyone=True)
    users = [*([None] if suggester.model.has_common else []), *suggester.users[:9]]
    for user, steps in zip(users, moments(suggester, users, each, seed=3), strict=True):
        reader = Reader(tmp_path / "out", user)
        for step in steps:
            if "observe" in step:
                reader.observe(step["observe"])
                continue
            found = reader.suggest(step["typed"])
            assert [(text, own) for text, _, own in found] == [(text, own) for text, _, own in step["list"]]
            ours = np.array([score for _, score, _ in step["list"]])
            np.testing.assert_allclose([score for _, score, _ in found], ours, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", [ONNX, WEB])
@pytest.mark.parametrize("data", ["all", "bounded", "strict"])
def test_what_few_have_searched_is_in_nobody_else_s_files(
    kind: str, data: str, suggesters: Suggesters, tmp_path: Path
) -> None:
    suggester = suggesters(data, "mlp")
    exported(suggester, tmp_path / "all", kind, everyone=True)
    exported(suggester, tmp_path / "one", kind, users=["user/3"])
    exported(suggester, tmp_path / "common", kind)
    secrets = {f"a secret {user}" for user in range(9)}

    def told(folder: Path) -> set[str]:
        content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        return {secret for secret in secrets if secret.encode() in content}

    assert told(tmp_path / "common") == set()
    assert told(tmp_path / "one") == {"a secret 3"}
    assert told(tmp_path / "all") == secrets, "each in its user's own file"
    for number in range(9):
        assert f"a secret {number}" in (tmp_path / "all" / "users" / f"{number}.json").read_text()
    assert not (tmp_path / "common" / "users").exists()
    names = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert [model["user"] for model in names["models"]] == ["user/3"]
    assert "user/4" not in (tmp_path / "one" / "manifest.json").read_text()


def test_a_forest_s_file_holds_the_part_of_its_user_alone(suggesters: Suggesters, tmp_path: Path) -> None:
    suggester = suggesters("all", "federated forest")
    exported(suggester, tmp_path / "out", everyone=True)
    assert isinstance(suggester.model, SharedForest)
    assert len(load_file(tmp_path / "out" / "common.safetensors")["evidence"]) == 0
    found = load_file(tmp_path / "out" / "users" / "4.safetensors")["evidence"]
    np.testing.assert_array_equal(found, suggester.model.evidence[[4]])


@pytest.mark.parametrize(
    ("ranker", "kind", "chosen", "error", "told"),
    [
        ("mlp", ONNX, {"users": ["user/33"]}, DataError, "no user 'user/33' .* one is 'user/3'"),
        ("lightgbm", WEB, {"everyone": True}, ConfigError, "ranks by networks, not by lightgbm"),
        ("lightgbm", ONNX, {}, ConfigError, "share none: use --user or --all"),
    ],
)
def test_what_cannot_be_exported_is_told(
    ranker: str,
    kind: str,
    chosen: dict[str, Any],
    error: type[Exception],
    told: str,
    suggesters: Suggesters,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=told):
        exported(suggesters("all", ranker), tmp_path / "out", kind, **chosen)
    assert not (tmp_path / "out").exists()
