"""Help tells defaults that stand elsewhere: it must not fall behind them."""

from typing import get_args

from app.commands import options
from app.runs.settings import resolve
from federated.algorithms import DEFAULT


def help_of(option: object) -> str:
    return str(get_args(option)[1].help)


def test_help_names_what_is_trained_if_nothing_is_said() -> None:
    settings = resolve({}, {})
    assert settings.algorithm == DEFAULT
    assert help_of(options.Algorithm).endswith(f"[default: {DEFAULT}]")
    assert help_of(options.Ranker).endswith(f"[default: {settings.ranker_name}]")
