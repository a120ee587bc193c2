"""Writes the rankings of a run, or of the yardsticks alone, and the features of its data for other programs.

::

    manifest.json               what was exported, ties, and our own figures
    SPLIT/qrels.trec            the user's own choice; see `trec`
    SPLIT/qrels-reference.trec  all that was wanted, graded
    SPLIT/run-RANKING.trec      a ranking, `global`, `personal` …
    SPLIT/features.svmlight     see `svmlight`
    SPLIT/slates.parquet        one row per slate and ranking, with all metrics
"""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from app.reports.exports.slates_table import rows, schema
from app.reports.exports.svmlight import write_svmlight
from app.reports.exports.trec import run_name, write_qrels, write_run
from app.runs.directory import CONFIG, open_run
from app.runs.scorers import Scorer, model_scorers, yardstick_scorers
from data.feature_sets import open_data
from data.manifests import MANIFEST
from data.progress import Tell, silent
from data.schema import DataError, column
from data.storage import read_manifest, whole
from ranking.metrics import CUTOFF, slate_metrics
from ranking.ordering import lists
from ranking.slates import StoredSlates
from ranking.sources import Source, source_of

TREC, SVMLIGHT, PARQUET = "trec", "svmlight", "parquet"
FORMATS = (TREC, SVMLIGHT, PARQUET)
FEATURES, SLATES = "features.svmlight", "slates.parquet"
RANKING = "ranking"
"""What it is called where its progress is shown."""

TOGETHER = 1000
"""Slates ranked at once."""


def export(
    place: Path,
    out: Path,
    splits: Sequence[str] = ("test",),
    formats: Collection[str] = FORMATS,
    data: Path | None = None,
    with_yardsticks: bool = False,
    cutoff: int = CUTOFF,
    tell: Tell = silent,
) -> dict[str, Any]:
    """Write the formats into a folder that is held, see `storage.fresh`.

    Args:
        place: a run, or a dataset, whose rankings are the yardsticks.
        out: where.
        splits: which parts of the data.
        formats: some of FORMATS.
        data: where the run's data is, if it has moved.
        with_yardsticks: whether a run's rankings are followed by the yardsticks.
        cutoff: of the metrics.
        tell: is told how far it is.

    Returns:
        The manifest.

    Raises:
        RunError, DataError, ModelError: see their modules.
    """
    is_data = (place / MANIFEST).is_file() and not (place / CONFIG).is_file()
    if is_data and data:
        raise DataError(f"{place} is a dataset itself: leave --data out, or name a run.")
    run = None if is_data else open_run(place)
    if run:
        run.require(read_manifest(run.source(data))["fingerprint"])  # before anything is made of it
    source = source_of(open_data(run.source(data) if run else place, truth=True, tell=tell))
    said: dict[str, Any] = {
        "format": "persarank-export",
        "run" if run else "data": str(place),
        "fingerprint": source.fingerprint,
        "cutoff": cutoff,
        "features": source.feature_names,
        "splits": {},
    }
    with whole(out) as building:
        for split in splits:
            (building / split).mkdir()
            scorers = model_scorers(run, source) if run else {}
            if with_yardsticks or not run:
                scorers |= yardstick_scorers(source, split)
            there = {name: by for name, by in scorers.items() if by is not None}
            part = _Part(source, split, formats, cutoff, building / split)
            said["splits"][split] = part.write(there, tell)
        (building / MANIFEST).write_text(json.dumps(said, indent=1, allow_nan=False) + "\n")
    return said


class _Part:
    """One split on its way to files; arguments as of `export`, and the folder for them."""

    def __init__(
        self, source: Source, split: str, formats: Collection[str], cutoff: int, folder: Path
    ) -> None:
        self.source, self.split, self.cutoff, self.folder = source, split, cutoff, folder
        self.formats = formats
        self.numbers, self.prefixes = source.numbers(split), source.prefixes(split)

    def write(self, scorers: Mapping[str, Scorer], tell: Tell) -> dict[str, Any]:
        """Write all files; returns what the manifest says of them."""
        slates = self.source.slates(self.split, None, tell)
        if SVMLIGHT in self.formats:
            order = np.argsort(self.source.rows(self.split), kind="stable")
            base, users = self.source.first_feature, self.source.users
            write_svmlight(self.folder / FEATURES, slates, self.numbers, users, base, order, tell)
        if TREC in self.formats:
            write_qrels(self.folder, slates, self.numbers)
        ranked = scorers if {TREC, PARQUET} & set(self.formats) else {}
        with ExitStack() as stack:
            table = None
            if PARQUET in self.formats:
                table = stack.enter_context(pq.ParquetWriter(self.folder / SLATES, schema(self.cutoff)))
            rankings = {name: self._ranking(name, slates, by, table, tell) for name, by in ranked.items()}
        return {
            "slates": len(slates),
            "missed": int(slates.missed.sum()),
            "empty_pools": int((slates.offsets.diff() == 0).sum()),
            "rankings": rankings,
        }

    def _ranking(
        self, name: str, slates: StoredSlates, by: Scorer, table: pq.ParquetWriter | None, tell: Tell
    ) -> dict[str, Any]:
        """Write one ranking; returns its ties, and its figures averaged over slates as other programs do."""
        parts = []
        with ExitStack() as stack:
            as_run = self.folder / run_name(name) if TREC in self.formats else None
            file = stack.enter_context(as_run.open("w")) if as_run else None
            for begin in range(0, len(slates), TOGETHER):
                tell(RANKING, begin, len(slates))
                part = slice(begin, min(begin + TOGETHER, len(slates)))
                some = slates[torch.arange(part.start, part.stop)]
                scores = by(some, part)
                numbers = self.numbers[part]
                ranked = lists(scores, some, numbers)
                if file:
                    write_run(file, ranked, numbers, name)
                metrics = slate_metrics(scores, some, self.cutoff)
                of = (self.source.users, self.prefixes[part])
                columns = rows(name, some, ranked, metrics, numbers, *of)
                parts.append(pa.table(columns, schema=schema(self.cutoff)))
        tell(RANKING, len(slates), len(slates))
        found = pa.concat_tables(parts)
        if table:
            table.write_table(found)
        return {
            "slates_with_ties": int((column(found, "tied") > 0).sum()),
            "choice_tied": int(column(found, "choice_tied").sum()),
            "mean_over_slates": {metric: float(column(found, metric).mean()) for metric in metrics},
        }
