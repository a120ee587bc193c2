"""How every command takes a path: a ~ is a home directory, also where shells leave it alone (--out=~/x)."""

from pathlib import Path

import click

from data.files import expanded


def path(text: str) -> Path:
    """The path that a word of the command line means; what is none is a wrong use of the command."""
    try:
        return expanded(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
