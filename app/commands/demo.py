"""The command `persarank demo`: prepare the demo once, and serve it."""

from typing import Annotated

import typer


def demo(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="[default: 8501 or a free one]")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Train, but do not serve.")] = False,
) -> None:
    """Prepare the demo once, then serve it on this machine only."""
    from app.suggestions.demo import home, ready, serve

    if not ready(home()):
        from app.suggestions.preparation import prepare

        prepare(home())
    if not prepare_only:
        serve(home(), port, headless)
