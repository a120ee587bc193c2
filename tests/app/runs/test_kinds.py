"""Every setting takes values of its own kind alone: nothing is made a number that was not written as one."""

import dataclasses
import datetime
import typing
from pathlib import Path
from typing import Any

import pytest

from app.runs.checks import ConfigError
from app.runs.given import parse_overrides, settings_from
from app.runs.settings import resolve
from federated.algorithms import ALGORITHMS, OBJECTIVES, SCHEDULES
from tests.app.runs.test_settings import GRID

CELLS: list[dict[str, Any]] = [{"algorithm": a, "ranker": r} for a, r in GRID]
CELLS += [{"objective": o, "schedule": s} for o in OBJECTIVES for s in SCHEDULES]

OTHERS: dict[type, list[Any]] = {
    bool: [0, 1, 0.0, 1.0, "true", "false", "", [], [True]],
    int: [True, False, 3.0, 0.0, "5", "", [3], {"a": 3}, datetime.date(2020, 1, 1)],
    float: [True, False, "5", "0.5", "nan", "", [0.5], {"a": 0.5}, datetime.date(2020, 1, 1)],
    str: [True, False, 0, 1, 0.5, ["constant"], datetime.date(2020, 1, 1)],
    tuple: [True, 64, "64", [True], [False, 8], ["8"], [8.0], [[8]]],
}
"""Kind of a setting → values of other kinds, some of which Python takes for equal to good ones."""


def kind_of(part: Any, name: str) -> type:
    """What a field holds, as far as its annotation tells; of a number or a word, the number.

    What is no such number is no such word either.
    """

    def kinds(hint: Any) -> set[type]:
        if typing.get_origin(hint) is typing.Literal:
            return {type(value) for value in typing.get_args(hint)}
        if hint in OTHERS:
            return {hint}
        if typing.get_origin(hint) is tuple:
            return {tuple}
        return set().union(*(kinds(arg) for arg in typing.get_args(hint)))

    found = kinds(typing.get_type_hints(type(part))[name])
    (kind,) = found - {str} or found
    return kind


@pytest.mark.parametrize("given", CELLS, ids=lambda given: " ".join(given.values()))
def test_no_setting_takes_a_value_of_another_kind(given: dict[str, Any]) -> None:
    tried = 0
    for section, part in resolve(given, {}).parts().items():
        for field in dataclasses.fields(part):
            for value in OTHERS[kind_of(part, field.name)]:
                with pytest.raises(ConfigError) as refused:
                    resolve(given, {field.name: value})
                said = str(refused.value)
                assert f"{section}.{field.name} = " in said or f"{section}: " in said, said
                assert said.endswith(".")
                assert "\n" not in said
                tried += 1
    assert tried > 0


def test_whole_numbers_are_numbers() -> None:
    assert resolve({}, {"lr": 1, "lam": 3}).row.local.lr == 1.0
    assert repr(resolve({}, {"lam": 3}).sections()["objective"]["lam"]) == "3.0"
    assert resolve({"algorithm": "per-fedavg"}, {"alpha": 0}).sections()["objective"]["alpha"] == 0


CHOSEN = [(a, f.name) for a, row in ALGORITHMS.items() for f in dataclasses.fields(row.objective)]
CHOSEN = [
    (a, name)
    for a, name in CHOSEN
    if "auto" in str(typing.get_type_hints(type(ALGORITHMS[a].objective))[name])
]
"""(algorithm, setting) that is a number or "auto"."""


@pytest.mark.parametrize(("algorithm", "name"), CHOSEN)
def test_a_number_or_auto_is_either_and_nothing_else(algorithm: str, name: str, tmp_path: Path) -> None:
    for pair, value in ((f"{name}=auto", "auto"), (f"{name}=2", 2), (f'{name}="auto"', "auto")):
        chosen = settings_from(None, {"algorithm": algorithm}, [pair])
        assert chosen.sections()["objective"][name] == value
        (tmp_path / "config.toml").write_text(chosen.to_toml({}))
        assert settings_from(tmp_path / "config.toml", {}, []) == chosen
    kind = "number" if name == "lam" else "integer"
    for written, told in (("yes", "'yes'"), ("true", "true"), ("[3]", "[3]"), ("Auto", "'Auto'")):
        with pytest.raises(ConfigError) as refused:
            settings_from(None, {"algorithm": algorithm}, [f"{name}={written}"])
        expected = f"objective.{name} = {told}: Input should be a valid {kind} or 'auto'."
        assert str(refused.value) == expected


def test_which_settings_validation_can_choose() -> None:
    assert {name for _, name in CHOSEN} == {"lam", "personal_steps", "adapt_steps"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pair", ["lr=true", "local_steps=false", "batch_size=true", "personal_samples=true"])
def test_truth_values_are_no_numbers_on_the_command_line_or_in_a_file(
    algorithm: str, pair: str, tmp_path: Path
) -> None:
    said = rf"^local\.{pair.replace('=', ' = ')}: Input should be a valid (number|integer)\.$"
    with pytest.raises(ConfigError, match=said):
        settings_from(None, {"algorithm": algorithm}, [pair])
    (tmp_path / "c.toml").write_text(f'[run]\nalgorithm = "{algorithm}"\n[local]\n{pair}\n')
    with pytest.raises(ConfigError, match=said):
        settings_from(tmp_path / "c.toml", {}, [])


@pytest.mark.parametrize("name", ["algorithm", "objective", "schedule", "ranker", "loss"])
@pytest.mark.parametrize("value", [False, True, 0, "", [], 1.5])
def test_names_are_texts(name: str, value: Any) -> None:
    """False, 0 and nothing are not taken for what is left out."""
    with pytest.raises(ConfigError, match=rf"^unknown {name}"):
        resolve({name: value}, {})


OF_RUN = {name: [3.0, "3", "true", [3], True, False] for name in ("seed", "updates", "evaluations")}
OF_RUN |= {"checkpoint_every": OF_RUN["seed"]}


@pytest.mark.parametrize(("name", "value"), [(n, value) for n, values in OF_RUN.items() for value in values])
def test_counts_are_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} = "):
        resolve({name: value}, {})


def test_a_pair_is_one_value() -> None:
    pairs = {"lr=1\nlam=2": "1\nlam=2", "lr=" + "9" * 5000: "9" * 5000}
    for pair, value in pairs.items():
        assert parse_overrides([pair]) == {"lr": value}
        with pytest.raises(ConfigError, match=r"^local\.lr = "):
            settings_from(None, {}, [pair])
