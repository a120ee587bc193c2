"""Shell completion: which names fit where the cursor is. It is quick, and says nothing of errors.

`persarank --install-completion` sets it up for the shell that it is called from.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import typer
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from app.commands.known import known
from data.files import expanded

CONFIG = "config.toml"
"""What makes a directory a run."""

MOST = 1000
"""Directories, at most, in which runs are looked for: who presses a key does not wait."""

PLAIN = re.compile(r"[\w./+@%~-]+")
"""Names that every shell takes as they are; a run of another name is left to the shell's own completion."""

AXES = {"algorithm": "algorithms", "objective": "objectives", "schedule": "schedules"}

NAMES = (*AXES, "ranker", "loss")

Complete = Callable[[typer.Context, str], list[str]]


@dataclass(frozen=True)
class Line:
    """What the command line says, together with the config file and the preset that it names.

    Attributes:
        given: names that were given, by option.
        algorithm, objective, schedule, ranker: those that are taken.
    """

    given: Mapping[str, str]
    algorithm: str
    objective: str
    schedule: str
    ranker: str

    @classmethod
    def of(cls, ctx: typer.Context) -> "Line":
        """The part of the line that has been written already."""
        names, told = known(), dict[str, Any]()
        file = ctx.params.get("config")
        if ctx.command.name == "resume" and ctx.args:  # click has not come to the argument yet
            file = expanded(ctx.args[0]) / CONFIG
        if file:
            told |= tomllib.loads(Path(file).read_text())["run"]
        told |= {name: word for name in (*NAMES, "preset") if (word := ctx.params.get(name))}
        given = names["presets"].get(told.get("preset"), {}) | told
        algorithm = given.get("algorithm", names["default"]["algorithm"])
        row = names["algorithms"][algorithm]
        usual = names["default"]["ranker"]
        return cls(
            given,
            algorithm,
            given.get("objective", row["objective"]),
            given.get("schedule", row["schedule"]),
            given.get("ranker", usual if usual in row["rankers"] else row["rankers"][0]),
        )

    def sets(self) -> dict[str, dict[str, list[Any]]]:
        """The hyper-parameters by section, each with the words that it may be."""
        names = known()
        row, ranker = names["algorithms"][self.algorithm], names["rankers"][self.ranker]
        parts = dict(row["sets"])
        growing, of_ranker = parts.pop("growing", None), parts.pop("ranker", ranker["sets"])
        if self.objective != row["objective"]:
            parts["objective"] = names["objectives"][self.objective]
        if self.schedule != row["schedule"]:
            parts["schedule"] = names["schedules"][self.schedule]
        if ranker["fitted"]:
            parts = {"growing": growing} if growing else {}
        return {"ranker": of_ranker, **parts}


def offered(names: Callable[[Line], Iterable[str]]) -> Complete:
    """A completion by names that depend on what else the line says."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        with suppress(Exception):
            return [name for name in names(Line.of(ctx)) if name.startswith(incomplete)]
        return []

    return complete


def listed(kind: str) -> Complete:
    """A completion by one of the tables or lists of `known`, whatever else the line says."""
    return offered(lambda line: known()[kind])


def algorithms(line: Line) -> Iterable[str]:
    """Those that the ranker can be learned by, if one is named."""
    ranker = line.given.get("ranker")
    return [name for name, row in known()["algorithms"].items() if ranker is None or ranker in row["rankers"]]


def rankers(line: Line) -> Iterable[str]:
    """Those that the algorithm can learn, if one is named."""
    named = "algorithm" in line.given
    return list(known()["algorithms"][line.algorithm]["rankers"] if named else known()["rankers"])


def losses(line: Line) -> Iterable[str]:
    """Those of the ranker, or what stands in their place."""
    paid = known()["algorithms"][line.algorithm]["losses"]
    return list(paid or known()["rankers"][line.ranker]["losses"])


def settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """``key=`` for the algorithm and the ranker of the line, and ``key=value`` where values are words."""
    with suppress(Exception):
        return _pairs(_keys(Line.of(ctx).sets(), incomplete), incomplete)
    return []


def own_settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same for what `resume` can change: only what the users' own models depend on."""
    with suppress(Exception):
        line = Line.of(ctx)
        own = known()["own"][line.objective]
        keys = _keys(line.sets(), incomplete).items()
        return _pairs({key: words for key, words in keys if key.rpartition(".")[2] in own}, incomplete)
    return []


def searched(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same for what `tune` tries: also algorithms, losses …, and several values after each other."""
    with suppress(Exception):
        line = Line.of(ctx)
        keys: dict[str, list[Any]] = {axis: list(known()[table]) for axis, table in AXES.items()}
        keys |= {"ranker": list(rankers(line)), "loss": list(losses(line)), "updates": []}
        key, equals, values = incomplete.partition("=")
        before, comma, last = values.rpartition(",")
        pairs = _pairs(keys | _keys(line.sets(), key), key + equals + last)
        return [pair.replace("=", f"={before},", 1) for pair in pairs] if comma else pairs
    return []


def runs(incomplete: str) -> list[str]:
    """Run directories in the folder that is being named, and one below."""
    folder, slash, begun = incomplete.rpartition("/")
    with suppress(Exception):
        place = expanded(folder + slash or ".")
        near = [child for child in sorted(place.iterdir()) if _meant(child.name, begun)]
        below = (run for child in near if child.is_dir() for run in (child, *sorted(child.iterdir())))
        found = [run.relative_to(place) for run in islice(below, MOST) if (run / CONFIG).is_file()]
        return [run for run in (f"{folder}{slash}{path}" for path in found) if PLAIN.fullmatch(run)]
    return []


def _meant(name: str, begun: str) -> bool:
    return name.startswith(begun) and (begun != "" or not name.startswith("."))


def _keys(sets: Mapping[str, dict[str, list[Any]]], incomplete: str) -> dict[str, list[Any]]:
    """Hyper-parameters by name; with their section if that is what is being written."""
    dotted = "." in incomplete.partition("=")[0]
    return {
        f"{section}.{name}" if dotted else name: words
        for section, keys in sets.items()
        for name, words in keys.items()
    }


def _pairs(keys: Mapping[str, list[Any]], incomplete: str) -> list[str]:
    """What a pair of a key and its value may become. Where one key is left, its values are told at once.

    A shell puts a space behind what is the only way to go on, and between = and a value there must be none.
    """
    key, equals, _ = incomplete.partition("=")
    fitting = [key] if equals else [name for name in keys if name.startswith(key)]
    pairs = [] if equals else [f"{name}=" for name in fitting]
    if len(fitting) == 1:
        pairs += [f"{fitting[0]}={_written(word)}" for word in keys.get(fitting[0], ())]
    return [pair for pair in pairs if pair.startswith(incomplete)]


def _written(word: Any) -> str:
    """A word as `--set` reads it."""
    return str(word).lower() if isinstance(word, bool) else str(word)


class Bash(BashComplete):
    """Bash breaks words at =, and expects what comes behind it alone: here such words are whole again."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and this one."""
        broken = split_arg_string(os.environ["COMP_WORDS"])
        cursor = int(os.environ["COMP_CWORD"])
        at = broken[cursor] if cursor < len(broken) else ""
        words = _whole(broken[1:cursor])
        joined = words and (at == "=" or words[-1].endswith("="))
        self._word = words.pop() + at if joined else at
        self._broken = bool(joined)
        return words, self._word

    def format_completion(self, item: CompletionItem) -> str:
        """What bash puts in the place of the last piece."""
        value = self._word.partition("=")[2] if self._word.startswith("-") else self._word
        before, equals, _ = value.rpartition("=")
        return str(item.value).removeprefix(before + equals) if self._broken else str(item.value)


def _whole(broken: list[str]) -> list[str]:
    """Words, with those put together again that stood around an =."""
    words: list[str] = []
    for piece in broken:
        joined = words and (piece == "=" or words[-1].endswith("=")) and not piece.startswith("-")
        words[-1:] = [words[-1] + piece] if joined else [*words[-1:], piece]
    return words


def register(command: click.Command) -> None:
    """Let bash be answered by `Bash`, and refuse an unknown shell as any other wrong word.

    What typer has for bash knows nothing of broken words, and what it refuses ends with an exit code of ours.
    """
    add_completion_class(Bash, "bash")
    for option in command.params:
        if option.name in ("install_completion", "show_completion") and option.callback is not None:
            option.callback = _refusing(option.callback)


def _refusing(callback: Callable[..., Any]) -> Callable[..., Any]:
    """The callback of an option, which fails only in a shell that it does not know."""

    def call(*given: Any) -> Any:
        try:
            return callback(*given)
        except (click.exceptions.Exit, SystemExit) as ended:
            code = ended.exit_code if isinstance(ended, click.exceptions.Exit) else ended.code
            if code:
                raise click.UsageError("commands are completed in bash, zsh, fish and PowerShell.") from ended
            raise

    return call
