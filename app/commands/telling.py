"""Commands whose help tells what there is: {algorithms} in a help text becomes the names of the table."""

import inspect
from collections.abc import Collection
from typing import Any, get_type_hints

import click
from click.shell_completion import CompletionItem
from typer.core import TyperArgument, TyperCommand, TyperOption

from app.commands.known import known

SEVERAL = "…"
"""How the metavar of an option ends whose value is several words."""


class Telling(TyperCommand):
    """A command that completes the help texts of its options and arguments when somebody reads them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options whose value is several words, up to the next option, get them as one."""
        several = {name for param in self.params if _takes_words(param) for name in param.opts}
        return super().parse_args(ctx, _joined(args, several))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help."""
        self._complete()
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options that can be completed, with their help."""
        self._complete()
        return super().shell_complete(ctx, incomplete)

    def _complete(self) -> None:
        hints = get_type_hints(inspect.unwrap(self.callback), include_extras=True) if self.callback else {}
        for param in self.params:
            if isinstance(param, TyperArgument) and param.name in hints:
                # click (from 8.4 on) has a help of its own for arguments, and typer's is lost beneath it
                param.help = param.help or hints[param.name].__metadata__[0].help
            if isinstance(param, TyperOption | TyperArgument) and "{" in (param.help or ""):
                param.help = str(param.help).format_map(_names())


def _names() -> dict[str, str]:
    """What stands for a name in braces."""
    found: dict[str, Any] = dict(known())
    lists = (
        "algorithms",
        "objectives",
        "schedules",
        "rankers",
        "presets",
        "keep",
        "splits",
        "metrics",
        "formats",
        "engines",
        "attacks",
        "defences",
    )
    told = {kind: _listed(found[kind]) for kind in lists}
    told |= {f"default_{axis}": name for axis, name in found["default"].items()}
    return told | {"losses": _losses(found["rankers"], found["algorithms"])}


def _listed(names: Any) -> str:
    """Names in a sentence."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else str(last)


def _losses(rankers: dict[str, Any], algorithms: dict[str, Any]) -> str:
    """The losses of each ranker, or of an algorithm that has its own; those with the same ones together."""
    having: dict[tuple[str, ...], list[str]] = {}
    for name, ranker in rankers.items():
        having.setdefault(tuple(ranker["losses"]), []).append(name)
    for name, algorithm in algorithms.items():
        if algorithm["losses"]:
            having.setdefault(tuple(algorithm["losses"]), []).append(name)
    return "; ".join(f"of {' and '.join(names)}: {_listed(losses)}" for losses, names in having.items())


def _takes_words(param: click.Parameter) -> bool:
    return isinstance(param, TyperOption) and (param.metavar or "").endswith(SEVERAL)


def _joined(args: list[str], several: Collection[str]) -> list[str]:
    """The line with the words behind each of ``several`` options in one: a first one, and pairs key=value."""
    found: list[str] = []
    open_ended = False
    for word in args:
        if open_ended and not word.startswith("-") and ("=" in word or found[-1] in several):
            found[-1:] = [found[-1], word] if found[-1] in several else [f"{found[-1]} {word}"]
            continue
        found.append(word)
        open_ended = word in several
    return found
