"""A report as one HTML page without network or script: for screens, light and dark, and for paper."""

import re
from collections.abc import Sequence
from html import escape

from app.reports.pages.blocks import Block, Chart, Heading, Points, Table, Text, visible
from app.reports.pages.charts import svg

MARK = '<meta name="generator" content="PersaRank report">'
"""By which a report is known again, so that it may be replaced by a newer one."""

TAG = re.compile(r"<[^>]+>")
SPOKEN = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
NAME = re.compile(r'(\bid="|url\(#|href="#)')

LONG = 45
"""Characters; a cell with more may take several lines."""

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1f; --back: #ffffff; --soft: #f3f3f6;
  --line: #c9c9d2; --link: #0645ad; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e8e8ee; --back: #16161a; --soft: #24242b; --line: #4b4b57; --link: #9cc2ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem; color: var(--text); background: var(--back);
  font: 1rem/1.55 system-ui, sans-serif; }
a { color: var(--link); }
h1 { font-size: 1.9rem; line-height: 1.2; }
h2 { margin-top: 3rem; padding-top: .6rem; border-top: 1px solid var(--line); font-size: 1.45rem; }
h3 { margin-top: 2rem; font-size: 1.15rem; }
p, li, dd { max-width: 46rem; }
nav ul { columns: 2; padding-left: 1.2rem; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin-left: 1.2rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .2rem 0 .4rem; }
th, td { padding: .25rem .55rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th { font-weight: 600; background: var(--soft); }
tbody th { font-weight: 400; background: none; }
td, tbody th { white-space: nowrap; }
.words { text-align: left; }
.long { min-width: 15rem; white-space: normal; overflow-wrap: anywhere; }
figure { margin: 1.5rem 0; }
figcaption { font-weight: 600; margin-bottom: .5rem; }
.key { font-size: .9rem; }
svg { max-width: 100%; height: auto; }
summary { cursor: pointer; padding: .2rem 0; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  nav, summary, .data { display: none; }
  .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""


def page(blocks: Sequence[Block]) -> str:
    """The page; its first block is the title."""
    title, *rest = blocks
    assert isinstance(title, Heading), "a report begins with its title"
    contents, body, charts, sections = [], [], 0, 0
    for block in rest:
        if isinstance(block, Heading):
            sections += 1
            contents.append((block, f"section-{sections}"))
            body.append(f'<h{block.level} id="section-{sections}">{_text(block.text)}</h{block.level}>')
        elif isinstance(block, Chart):
            charts += 1
            body.append(_chart(block, charts))
        else:
            body.append(_plain(block))
    links = "".join(f'<li><a href="#{to}">{_text(h.text)}</a></li>' for h, to in contents)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{MARK}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title.text)}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{_text(title.text)}</h1></header>
<nav aria-label="Contents"><ul>{links}</ul></nav>
<main>
{chr(10).join(body)}
</main>
</body>
</html>
"""


def _text(text: str) -> str:
    return escape(visible(text))


def _plain(block: Block) -> str:
    """What is neither heading nor chart."""
    if isinstance(block, Text):
        return f"<p>{_text(block.text)}</p>"
    if isinstance(block, Points):
        return _points(block)
    assert isinstance(block, Table)
    if not block.folded:
        return table(block)
    return f"<details><summary>{_text(block.caption)}</summary>{table(block)}</details>"


def _points(block: Points) -> str:
    """A list of definitions, or a plain one if no point has a term."""
    if not any(term for term, _ in block.points):
        return f"<ul>{''.join(f'<li>{_text(told)}</li>' for _, told in block.points)}</ul>"
    told = "".join(f"<dt>{_text(term)}</dt><dd>{_text(words)}</dd>" for term, words in block.points)
    return f"<dl>{told}</dl>"


def table(block: Table) -> str:
    """A table that scrolls by itself if it is too wide, also by keyboard."""
    kinds = ["words" if n < block.words else "" for n in range(len(block.headings))]
    head = "".join(
        f'<th scope="col"{_kind(kind)}>{_text(heading)}</th>'
        for kind, heading in zip(kinds, block.headings, strict=True)
    )
    rows = []
    for first, *others in block.rows:
        cells = "".join(
            f"<td{_kind(kind, cell)}>{_bidi(cell)}</td>" for kind, cell in zip(kinds[1:], others, strict=True)
        )
        rows.append(f'<tr><th scope="row"{_kind(kinds[0], first)}>{_bidi(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" role="group" tabindex="0" aria-label="{_text(block.caption)}"><table>'
        f"<caption>{_text(block.caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _kind(kind: str, cell: str = "") -> str:
    """The classes of a cell, as an attribute; long words may be broken."""
    kinds = " ".join(name for name in (kind, "long" if len(cell) > LONG else "") if name)
    return f' class="{kinds}"' if kinds else ""


def _bidi(cell: str) -> str:
    """A cell; names that turn the direction of writing turn only their own."""
    return _text(cell) if cell.isascii() else f"<bdi>{_text(cell)}</bdi>"


def _own_tag(tag: str, number: int) -> str:
    """A tag of a picture: its names are of this picture alone, and of what it is only the whole speaks."""
    return NAME.sub(rf"\1chart-{number}-", SPOKEN.sub("", tag))


def _chart(chart: Chart, number: int) -> str:
    """A figure with the picture, and its data for those who want them or cannot see it."""
    drawn = TAG.sub(lambda tag: _own_tag(tag[0], number), svg(chart.specification))
    picture = drawn.replace("<svg ", f'<svg role="img" aria-label="{_text(chart.alternative)}" ', 1)
    key = f'<p class="key">{_text(chart.key)}</p>' if chart.key else ""
    return (
        f"<figure><figcaption>{_text(chart.caption)}</figcaption>"
        f'<div class="scroll" role="group" tabindex="0" aria-label="{_text(chart.caption)}: chart">'
        f"{picture}</div>{key}"
        f'<details class="data"><summary>The figures in this chart: {_text(chart.caption)}</summary>'
        f"{table(chart.table)}</details></figure>"
    )
