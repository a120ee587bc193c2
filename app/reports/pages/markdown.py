"""A report as Markdown: the same story, with charts as tables of what they show."""

import re
from collections.abc import Sequence

from app.reports.pages.blocks import Block, Chart, Heading, Points, Table, Text, visible

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def text(blocks: Sequence[Block]) -> str:
    """The whole report."""
    return "\n\n".join(map(_block, blocks)) + "\n"


def _plain(words: str) -> str:
    return SPECIAL.sub(r"\\\1", visible(words))


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_plain(block.text)}"
    if isinstance(block, Text):
        return _plain(block.text)
    if isinstance(block, Points):
        return "\n".join(
            f"- **{_plain(term)}**: {_plain(told)}" if term else f"- {_plain(told)}"
            for term, told in block.points
        )
    if isinstance(block, Chart):
        return f"{_plain(block.alternative)}\n\n{_table(block.table)}"
    return _table(block)


def _table(table: Table) -> str:
    """A caption and a table."""
    sides = [":--" if number < table.words else "--:" for number in range(len(table.headings))]
    lines = [list(map(_plain, table.headings)), sides, *(list(map(_plain, row)) for row in table.rows)]
    drawn = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"**{_plain(table.caption)}**\n\n{drawn}"
