"""`PersonalRanker`: train, suggest, observe, adapt and evaluate from Python, as the command line does."""

import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.exceptions import NotFittedError

from app.runs.checks import ConfigError
from app.runs.directory import CONFIG, NAMES, Run, created, open_run
from app.runs.evaluation import describe, evaluate
from app.runs.settings import GIVEN, Settings, resolve
from app.runs.training import train_run
from app.suggestions.adaptation import Adaptation
from app.suggestions.lists import Suggestion
from app.suggestions.suggester import Suggester, of_run
from app.suggestions.visit import Visit
from data.feature_sets import open_data
from data.log_import import ImportOptions, open_log
from data.manifests import MANIFEST
from data.reading.columns import tidy_name
from data.schema import SPLITS, DataError
from data.storage import fill_parts, fresh
from federated.engines import SIMULATE
from ranking.releasing import released

DATA = "data"
"""Folder of a saved run that holds its dataset, where that was made from a log."""

Table: TypeAlias = "pd.DataFrame | pa.Table"


class PersonalRanker:
    """A ranker of query suggestions that knows each user.

    What it does is what the command line does, to the last digit: `fit` is ``data import`` and ``train``,
    `evaluate` and `suggest` are the commands of these names, and what `save` writes is a run directory.

    Args:
        algorithm: a name that ``persarank list`` shows; None: the command line's default.
        ranker: the same.
        settings: whatever else ``train`` takes: ``loss``, ``updates``, ``seed``, ``evaluations``, ``keep``,
            ``objective``, ``schedule``; and hyper-parameters as of ``--set``, such as ``lam``, with their
            section where two have the name: ``privacy__epsilon=2``.

    Raises:
        ConfigError: an unknown name, with the nearest known one, or a value out of bounds.

    >>> import pandas as pd
    >>> from persarank import PersonalRanker
    >>> log = pd.DataFrame(
    ...     [(user, f"2026-03-{day:02} 12:{10 * user:02}", query)
    ...      for user, queries in enumerate([("weather oslo", "web mail"), ("web radio", "weather rome")])
    ...      for day in range(1, 15) for query in queries],
    ...     columns=["user", "time", "query"])
    >>> ranker = PersonalRanker("persa-fl-me", updates=40, evaluations=0).fit(log)
    >>> sorted(one.text for one in ranker.suggest("0", "we"))
    ['weather oslo', 'weather rome', 'web mail', 'web radio']
    >>> ranker.observe("0", "weather bergen").suggest("0", "weather b")[0].text
    'weather bergen'
    """

    def __init__(self, algorithm: str | None = None, ranker: str | None = None, **settings: Any) -> None:
        names = {name.replace("__", ".", 1): _plain(value) for name, value in settings.items()}
        given = {name: value for name, value in names.items() if name in GIVEN}
        overrides = {name: value for name, value in names.items() if name not in GIVEN}
        self.settings: Settings = resolve({"algorithm": algorithm, "ranker": ranker, **given}, overrides)
        if self.settings.engine_name != SIMULATE:
            raise ConfigError(f"engine = {self.settings.engine_name}: from Python, users are simulated only.")
        self._home: Path | None = None
        self._run: Run | None = None
        self._suggester: Suggester | None = None
        self._numbers: dict[str, int] = {}
        self._visits: dict[str, Visit] = {}

    def __repr__(self) -> str:
        what = f"{self.settings.label} × {self.settings.ranker_name}"
        return f"<PersonalRanker {what}, {'not fitted' if self._run is None else 'fitted'}>"

    def fit(
        self,
        log: "Table | str | PathLike[str]",
        *,
        user: str = "user",
        time: str = "time",
        query: str = "query",
        group: str | None = None,
        options: ImportOptions | None = None,
    ) -> Self:
        """Train on a search log; what was learned or observed before is forgotten.

        Args:
            log: a table, a file or folder as of ``data import``, or the directory of a dataset.
            user, time, query, group: its columns. A dataset knows its own.
            options: how it becomes a dataset.

        Raises:
            DataError: the log cannot be read for certain, or nobody has enough searches.
            FloatingPointError: training diverged.
            UnfinishedError: Ctrl-C.
        """
        for name, column in {"user": user, "time": time, "query": query, "group": group or ""}.items():
            _text(name, column)
        if not isinstance(options, ImportOptions | None):
            raise TypeError(f"options is {options!r}: it must be ImportOptions.")
        place = Path(mkdtemp(prefix="persarank-"))
        weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
        data = _dataset(log, place, (user, time, query, group), options or ImportOptions())
        train_run(self.settings, data, open_data(data), place / "run", lambda event: None)
        self._open(place / "run", None)
        self._home = place
        return self

    def suggest(self, user: str, prefix: str, k: int = 10) -> list[Suggestion]:
        """The best ``k`` suggestions for what a user has typed, by the model that ranks for them.

        Args:
            user: a name from the log. For anybody else the common model ranks, from what was observed.
            prefix: what they have typed; "" for their latest searches.
            k: length of the list.
        """
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"k is {k!r}: it must be a whole number, and at least 1.")
        return self._fitted.suggest(self._visit(user), _text("prefix", prefix), k).personal

    def observe(self, user: str, query: str, prefix: str = "") -> Self:
        """Let a user's past end with another search. It changes what they are suggested, and nobody else.

        Args:
            user: as in `suggest`.
            query: what they searched; it is cleaned as imported queries are, and counts if anything is left.
            prefix: what they had typed when they chose it: `adapt` learns from searches that have one.
        """
        visit = self._fitted.observe(self._visit(user), _text("query", query), _text("prefix", prefix))
        self._visits[tidy_name(user)] = visit
        return self

    def adapt(self, user: str, strength: float | None = None) -> Adaptation:
        """Make a user's own model anew, from their training searches and those that were observed since.

        Args:
            user: as in `suggest`.
            strength: how far it goes (λ, or steps), where that is not to be what the run has chosen.

        Raises:
            NotAdaptableError: the algorithm has no personal step, or there is nothing to learn from.
        """
        visit, adaptation = self._fitted.adapt(self._visit(user), strength)
        self._visits[tidy_name(user)] = visit
        return adaptation

    def evaluate(self, split: str = "test") -> dict[str, Any]:
        """What ``persarank evaluate --json`` prints of the run: figures by ranking, averaged over users.

        Searches that were observed do not count here.
        """
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}: it must be one of {', '.join(SPLITS)}.")
        run = self._trained
        (judged,) = evaluate([run.directory], run.data, split)
        return describe(judged, "users")

    def save(self, directory: "str | PathLike[str]") -> Path:
        """Write a run directory, for `load` and for every command; with its dataset, if `fit` made one.

        What was observed is not saved, and neither are adapted models.

        Raises:
            RunError: something is there already.
        """
        run, out = self._trained, Path(directory)
        made = self._home is not None and self._home.resolve() in run.data.resolve().parents
        with created(out, run.settings, out / DATA if made else run.data, run.fingerprint):
            if made:
                shutil.copytree(run.data, out / DATA)
            for file in _written(run.directory):
                (out / file).parent.mkdir(exist_ok=True)
                shutil.copyfile(run.directory / file, out / file)
        return out

    @classmethod
    def load(cls, directory: "str | PathLike[str]", data: "str | PathLike[str] | None" = None) -> Self:
        """A run that `save` or ``persarank train`` has written.

        Args:
            directory: of the run.
            data: its dataset, if it has moved since training.

        Raises:
            RunError, DataError, ModelError: the run, its data or its model cannot be read, or do not belong
                together.
        """
        ranker = cls()
        ranker._open(Path(directory), None if data is None else Path(data))
        return ranker

    def _open(self, directory: Path, data: Path | None) -> None:
        run = open_run(directory)
        if data is None and (directory / DATA / MANIFEST).is_file():  # it was saved with its dataset
            data = directory / DATA
        self.settings = run.settings
        self._suggester = of_run(directory, data)
        self._run = run if data is None else replace(run, data=data)
        self._numbers = {name: number for number, name in enumerate(self._suggester.users)}
        self._visits = {}

    @property
    def _trained(self) -> Run:
        if self._run is None:
            raise NotFittedError("call fit first.")
        return self._run

    @property
    def _fitted(self) -> Suggester:
        if self._suggester is None:
            raise NotFittedError("call fit first.")
        return self._suggester

    def _visit(self, user: str) -> Visit:
        suggester, name = self._fitted, tidy_name(_text("user", user))
        if name in self._visits:
            return self._visits[name]
        if name not in self._numbers:
            return suggester.guest()
        return self._visits.setdefault(name, suggester.visit(self._numbers[name]))


def _dataset(
    log: "Table | str | PathLike[str]",
    place: Path,
    names: tuple[str, str, str, str | None],
    options: ImportOptions,
) -> Path:
    """Where the dataset of a log is: at ``place``, if it has to be made."""
    if isinstance(log, str | PathLike):
        file = Path(log)
        if (file / MANIFEST).is_file():
            return file
    else:
        file = place / "log.parquet"
        _write(log, file)
    out = place / DATA
    with fresh(out):
        coming = open_log(file, *names, options, releasing=released)
        fill_parts(coming.dataset, coming.slates(), coming.manifest, out)
    return out


def _write(log: Table, file: Path) -> None:
    """A table as a file that is read as any other log."""
    try:
        table: Any = log
        if isinstance(log, pd.DataFrame):
            table = pa.Table.from_pandas(log, preserve_index=False)
        if not isinstance(table, pa.Table):
            raise DataError(f"a log is a DataFrame, an Arrow table or a path, not {type(log).__name__}.")
        pq.write_table(table, file)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"the log cannot be read: {str(error).splitlines()[0]}.") from error


def _written(run: Path) -> Iterator[Path]:
    """What a finished run has written, but for its config, from the run on."""
    for pattern in NAMES:
        for file in sorted(run.glob(pattern)):
            if file.name != CONFIG:
                yield file.relative_to(run)


def _plain(value: Any) -> Any:
    """A setting as a number of Python's, where it is one of numpy's."""
    return value.item() if isinstance(value, np.generic) else value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}: it must be a string.")
    return value
