"""The command `persarank list`: what there is to choose from."""

from app.commands.printing import Json, show


def list_tables(as_json: Json = False) -> None:
    """List algorithms, rankers, losses and the hyper-parameters that --set takes."""
    from app.reports.choices import table_of_everything, tables

    show(tables, table_of_everything(), as_json)
