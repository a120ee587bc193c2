"""What a person chooses for a training, as settings and as the command line that trains so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.reports.choices import table_of_everything
from app.reports.parameters import CHOICE, TRUTH, WHOLE, WRITTEN, Parameter, parameters
from app.runs.given import parse_overrides
from app.runs.presets import PRESETS, with_preset
from app.runs.settings import PAID, Settings, resolve
from app.web.literal import literal
from data.manifests import FEATURES
from data.schema import DataError
from data.storage import read_manifest
from federated.algorithms import ALGORITHMS, DEFAULT, FITTED, OBJECTIVES, SCHEDULES
from ranking.rankers import RANKERS, TREES

NONE = "none"
OWN = "the algorithm's own"
SECTIONS = {
    "objective": "Objective: who the model is for",
    "schedule": "Schedule: who computes when",
    "local": "Local training, and the users' own models",
    "policy": "Policy",
    "growing": "Growing trees together",
    "ranker": "Ranker",
}
"""Headings of hyper-parameters, those first that matter most."""


@dataclass(frozen=True)
class Chosen:
    """What was chosen: the settings, and the words of `train` that give them."""

    settings: Settings
    words: list[str]


def training_form(data: Path) -> Chosen:
    """Draw the form for a training on this dataset, and return what it holds.

    Raises:
        ConfigError: what was chosen does not go together, or a value is out of bounds.
        DataError: the dataset cannot be read.
    """
    manifest = read_manifest(data)
    preset = _preset()
    usual: Mapping[str, Any] = PRESETS[preset].given if preset else {}
    given = _choices(usual, texts=manifest["format"] != FEATURES)
    users = int(manifest["files"]["users.parquet"].get("rows", 0))
    situation = " ".join(str(part) for part in (preset, *given.values()))
    plain = _settings(preset, given, {}, users)
    given["seed"], given["updates"] = _numbers(plain)
    sets = _hyper_parameters(plain, situation)
    settings = _settings(preset, given, parse_overrides(sets), users)
    return Chosen(settings, _words(preset, given, sets, usual))


def _preset() -> str | None:
    sources = {row["name"]: row["source"] for row in table_of_everything()["presets"]}
    chosen = st.selectbox(
        "Preset",
        [NONE, *PRESETS],
        format_func=lambda name: name if name == NONE else f"{name}: {sources.get(name, '')}",
        help="Settings that belong together, pinned. Whatever you choose below wins over them.",
        key="preset",
    )
    return chosen if chosen in PRESETS else None


def _choices(usual: Mapping[str, Any], texts: bool) -> dict[str, Any]:
    """Ranker, algorithm and loss, and perhaps another objective or schedule: only what goes together."""
    left, middle, right = st.columns(3)
    able = [name for name, row in RANKERS.items() if texts or not row.reads_text]
    ranker = _one(
        left,
        "Ranker",
        able,
        usual.get("ranker", "mlp"),
        {name: f"{name}: {RANKERS[name].summary}" for name in able},
        help="What scores the suggestions.",
        key=f"ranker {usual.get('ranker')} {texts}",
    )
    rows = {name: FITTED[name] for name in TREES[ranker].ALGORITHMS} if ranker in TREES else ALGORITHMS
    algorithm = _one(
        middle,
        "Algorithm",
        list(rows),
        usual.get("algorithm", DEFAULT),
        {name: f"{name}: {row.source}" for name, row in rows.items()},
        help="How users train together.",
        key=f"algorithm {usual.get('algorithm')} {ranker if ranker in TREES else 'network'}",
    )
    losses = RANKERS[ranker].losses if rows[algorithm].policy is None else (PAID,)
    loss = _one(
        right,
        "Loss",
        list(losses),
        usual.get("loss"),
        help="What training makes small.",
        key=f"loss {usual.get('loss')} {'-'.join(losses)}",
    )
    given = {"algorithm": algorithm, "ranker": ranker, "loss": loss, "objective": None, "schedule": None}
    if ranker not in TREES:
        with st.expander("Another objective or schedule than the algorithm's own"):
            one, two = st.columns(2)
            for column, name, known in ((one, "objective", OBJECTIVES), (two, "schedule", SCHEDULES)):
                other = _one(column, name.capitalize(), [OWN, *known], OWN, key=name)
                given[name] = None if other == OWN else other
    return given


def _one(
    where: Any,
    label: str,
    options: list[str],
    usual: str | None,
    told: Mapping[str, str] | None = None,
    help: str | None = None,
    key: str | None = None,
) -> str:
    """One of some names. What a browser sends that is none of them counts as the usual one."""
    usual = usual if usual in options else options[0]
    shown = told or {}
    chosen = where.selectbox(
        label,
        options,
        index=options.index(usual),
        format_func=lambda name: shown.get(name, name),
        key=key,
        help=help,
    )
    return chosen if chosen in options else usual


def _numbers(plain: Settings) -> tuple[int | None, int | None]:
    """Seed and updates; None where they are the usual ones."""
    left, right, _ = st.columns(3)
    seed = left.number_input(
        "Seed", 0, 2**32 - 1, plain.seed, help="Keys every random draw: the same seed, the same model."
    )
    if plain.fitted:
        return _unless(seed, plain.seed), None
    updates = right.number_input(
        "Updates",
        1,
        10**9,
        plain.updates,
        key=f"updates {plain.label} {plain.updates}",
        help="Updates of users that arrive, all together. Fewer are quicker, more may be better.",
    )
    return _unless(seed, plain.seed), _unless(updates, plain.updates)


def _unless(value: int | None, usual: int) -> int | None:
    return None if value == usual else value


def _hyper_parameters(plain: Settings, situation: str) -> list[str]:
    """Draw a field for each hyper-parameter; returns those that were changed, as `--set` takes them."""
    sections: dict[str, list[Parameter]] = {}
    for parameter in parameters(plain):
        sections.setdefault(parameter.section, []).append(parameter)
    pairs = []
    for section in sorted(sections, key=list(SECTIONS).index):
        with st.expander(SECTIONS[section]):
            columns = st.columns(3)
            for number, parameter in enumerate(sections[section]):
                key = f"{section}.{parameter.name} {situation}"
                text = _field(columns[number % 3], parameter, key)
                if text is not None:
                    pairs.append(f"{parameter.name}={text}")
    return pairs


def _field(where: Any, parameter: Parameter, key: str) -> str | None:
    """A field for one hyper-parameter; its value as `--set` has it, None if that is unchanged."""
    bounds = parameter.bounds()
    about = {"help": literal(f"{parameter.help} ({bounds})" if bounds else parameter.help), "key": key}
    label, value = literal(parameter.name), parameter.value
    if parameter.kind == WRITTEN:
        usual = value if isinstance(value, str) else json.dumps(value)
        text = where.text_input(label, usual, max_chars=200, **about).strip()
        return None if text in ("", usual) else text
    if parameter.kind == TRUTH:
        chosen = where.checkbox(label, value, **about)
    elif parameter.kind == CHOICE:
        options = list(parameter.choices)
        chosen = where.selectbox(label, options, options.index(value), **about)
    else:
        chosen = _number(where, parameter, label, about)
    return None if chosen in (None, value) else chosen if isinstance(chosen, str) else json.dumps(chosen)


def _number(where: Any, parameter: Parameter, label: str, about: dict[str, str]) -> float | int | None:
    """A number, whose bounds are those of the hyper-parameter; settings look at them once more."""
    whole = parameter.kind == WHOLE
    kind, most = (int, 2**53 - 1) if whole else (float, 1e300)
    number: float | int | None = where.number_input(
        label,
        None if parameter.low is None else kind(parameter.low),
        kind(min(most, most if parameter.high is None else parameter.high)),
        None if parameter.value is None else kind(parameter.value),
        step=1 if whole else None,
        format="%d" if whole else "%g",
        placeholder="none",
        **about,
    )
    return number


def _settings(preset: str | None, given: Mapping[str, Any], sets: Mapping[str, Any], users: int) -> Settings:
    if preset is None:
        return resolve(given, sets)

    def known() -> int:
        if users < 1:
            raise DataError("the dataset does not say how many users it has: choose no preset.")
        return users

    return resolve(*with_preset(preset, given, sets, known))


def _words(
    preset: str | None, given: Mapping[str, Any], sets: list[str], usual: Mapping[str, Any]
) -> list[str]:
    """The options of `train` for what was chosen, without those that a preset gives already."""
    words = ["--preset", preset] if preset else []
    for name, value in given.items():
        if value is not None and value != usual.get(name):
            words += [f"--{name}", str(value)]
    for pair in sets:
        words += ["--set", pair]
    return words
