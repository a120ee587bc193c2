"""The command `persarank privacy`: what a run promises its users."""

from app.commands.options import Moved, Run
from app.commands.printing import Json, show


def privacy(run: Run, data: Moved = None, as_json: Json = False) -> None:
    """Say what a run promises its users: who sees what, epsilon and delta, and what is not protected."""
    from app.reports.promise import paragraph, promise
    from app.runs.directory import open_run
    from data.storage import read_manifest

    opened = open_run(run)
    manifest = read_manifest(opened.source(data))
    opened.require(manifest["fingerprint"])
    show(paragraph, promise(opened, manifest), as_json)
