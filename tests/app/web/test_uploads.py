"""The page Data: an upload whose columns are named, and the command that imports it."""

import gzip
import io
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from app.web import jobs, uploads
from app.web.import_form import option
from app.web.uploads import UploadError
from data.reading.files import first_rows
from data.reading.proposal import propose
from data.reading.rows import Reading
from tests.app.web.conftest import Open
from tests.app.web.forms import Started, html, labelled, press, read

USER, TIME, QUERY, REST = "Wer? <script>alert(1)</script>", "**Wann** :red[x]", "--was", "a]b`$z$"
HOSTILE = "<img src=x onerror=alert(1)> **y**"


def log(events: int = 60, dates: str = "%Y-%m-%d %H:%M") -> bytes:
    """A log with odd names of columns, some of them hostile; semicolons between its fields."""
    start = datetime(2024, 3, 5, 9)
    rows = [f'"{USER}";"{TIME}";{QUERY};{REST}']
    for at in range(events):
        moment = (start + timedelta(minutes=at)).strftime(dates)
        rows.append(f"p{at % 4};{moment};{HOSTILE if at == 0 else f'git {at % 7}'};x")
    return "\n".join(rows).encode()


def upload(app: AppTest, name: str = "log.csv", content: bytes | None = None) -> AppTest:
    return app.file_uploader[0].set_value((name, log() if content is None else content, "text/csv")).run()


def kept(folder: Path) -> list[Path]:
    return sorted((folder / uploads.FOLDER).glob("*"))


def test_an_upload_becomes_the_command_that_imports_it(
    open_page: Open, tmp_path: Path, started: Started
) -> None:
    app = upload(open_page("data", tmp_path), "Searches of ../../2024.CSV")
    assert not app.exception
    assert not app.error
    assert [labelled(app.selectbox, label).value for label in ("Time", "User")] == [TIME, USER]
    assert labelled(app.selectbox, "Query").value == QUERY
    assert "60 searches of 4 users" in app.success[0].value
    assert "5 March 2024, 09:00:00 UTC" in html(app), "a date as it is understood"
    labelled(app.text_input, "Name of the dataset").set_value("mine").run()
    labelled(app.number_input, "Leave out users with fewer searches than").set_value(7).run()
    shown = app.code[0].value
    press(app, "Import")
    ((words, place),) = started
    (file,) = kept(tmp_path)
    assert file.read_bytes() == log(), "it stays where the command reads it"
    assert place == tmp_path / "searches" / "mine"
    assert words[:5] == ["data", "import", f"uploads/{file.name}", "--out", "searches/mine"]
    assert words[5:] == ["--user", USER, "--time", TIME, f"--query={QUERY}", "--min-events", "7"]
    assert shown.startswith("persarank data import uploads/2")
    assert not app.selectbox, "the form is there for another one"


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("only what had been done before", ["--strict-time"]),
        ("only searches that several users share", ["--public-counts", "federated"]),
    ],
)
def test_what_is_known_of_everyone(
    chosen: str, words: list[str], open_page: Open, tmp_path: Path, started: Started
) -> None:
    app = upload(open_page("data", tmp_path))
    labelled(app.selectbox, "What is known of everyone's searches").set_value(chosen).run()
    press(app, "Import")
    assert started[0][0][-len(words) :] == words


def test_what_a_log_holds_is_literal(open_page: Open, tmp_path: Path) -> None:
    app = upload(open_page("data", tmp_path))
    told = html(app)
    assert "&lt;img src=x onerror=alert(1)&gt; **y**" in told
    assert "<img" not in told
    assert "<script" not in told.replace("<style", "")
    assert "&lt;script&gt;" in told


def test_the_name_of_an_upload_is_no_path(open_page: Open, tmp_path: Path) -> None:
    place = tmp_path / "app"
    for name in ("../../evil.csv", f"{tmp_path}/evil.CSV", "a\0b.csv", "<b>.csv", "..csv"):
        path = uploads.keep(place, name, b"a")
        assert path.parent == place / uploads.FOLDER
        assert path.suffix == ".csv"
        assert path.name.replace("-", "").removesuffix(".csv").isalnum()
    assert sorted(tmp_path.iterdir()) == [place]
    for name in ("run.sh", "log.csv.exe", "csv", "", "log.xlsx"):
        with pytest.raises(UploadError, match="its name must end in"):
            uploads.keep(place, name, b"a")
    app = upload(open_page("data", tmp_path / "other"), "**evil**.xlsx")
    assert "its name must end in" in read(app.error[0].value)


def test_uploads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MEGABYTE", 100)
    with pytest.raises(UploadError, match="larger than 50 MB"):
        uploads.keep(tmp_path, "log.csv", b"a" * 5001)
    assert not kept(tmp_path)
    bomb = uploads.keep(tmp_path, "log.csv.gz", gzip.compress(b"a" * 40_001))
    assert bomb.name.endswith(".csv.gz")
    with pytest.raises(UploadError, match="unpacked it is larger than 400 MB"):
        uploads.preview(bomb, Reading())
    monkeypatch.setattr(uploads, "KEPT", 1)
    uploads.keep(tmp_path, "log.csv", b"a" * 100)
    with pytest.raises(UploadError, match="delete what is not needed"):
        uploads.keep(tmp_path, "log.csv", b"a")
    monkeypatch.setattr(uploads, "ROWS", 3)
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1] * 4}), file)
    with pytest.raises(UploadError, match="it has 4 rows"):
        uploads.preview(file, Reading())


def test_an_upload_that_is_taken_away_is_removed(open_page: Open, tmp_path: Path) -> None:
    app = upload(open_page("data", tmp_path))
    (first,) = kept(tmp_path)
    upload(app, "other.csv")
    (second,) = kept(tmp_path)
    assert second != first
    app.file_uploader[0].set_value(None).run()
    assert not kept(tmp_path)


def test_an_error_names_the_row_and_the_file_of_the_visitor(open_page: Open, tmp_path: Path) -> None:
    broken = log().replace(b"2024-03-05 09:03", b"yesterday")
    app = upload(open_page("data", tmp_path), "my log.csv", broken)
    assert read(app.error[0].value).startswith("my log.csv, line 5, column")
    assert str(tmp_path) not in read(app.error[0].value)
    assert not [b for b in app.button if b.label == "Import"]


def test_dates_that_can_be_read_twice_are_asked_for(
    open_page: Open, tmp_path: Path, started: Started
) -> None:
    app = upload(open_page("data", tmp_path), content=log(dates="%d/%m/%Y %H:%M"))
    assert "with the day first and with the month first" in read(app.error[0].value)
    labelled(app.selectbox, "Dates are written").set_value("month first: 03/04 is the fourth of March").run()
    assert "3 May 2024" in html(app)
    labelled(app.selectbox, "Dates are written").set_value("in a format of their own").run()
    assert app.error, "the usual format is another one"
    labelled(app.text_input, "Format of every time").set_value("%d/%m/%Y %H:%M").run()
    assert "5 March 2024" in html(app)
    press(app, "Import")
    assert started[0][0][-2:] == ["--time-format", "%d/%m/%Y %H:%M"]


def test_what_the_import_would_refuse_is_said_before_it(
    open_page: Open, tmp_path: Path, started: Started
) -> None:
    app = upload(open_page("data", tmp_path), content=log(events=16))
    told = read(app.error[0].value)
    assert "16 searches of 4 users, and nobody has 5 or more (the most is 4); lower “Leave out" in told
    assert not app.success
    assert not [b for b in app.button if b.label == "Import"]
    labelled(app.number_input, "Leave out users with fewer searches than").set_value(4).run()
    assert "16 searches of 4 users, 8 of them different" in read(app.success[0].value)
    press(app, "Import")
    assert started[0][0][-2:] == ["--min-events", "4"]
    (tmp_path / "one.csv").write_bytes(log(events=1))
    columns = {"user": USER, "time": TIME, "query": QUERY}
    with pytest.raises(
        UploadError, match=r"1 search of 1 user, .* 3 or more \(the most is 1\); fewer cannot"
    ):
        uploads.look(tmp_path / "one.csv", columns, Reading()).require(3)


def test_users_with_few_searches_are_counted_before_they_are_left_out(
    open_page: Open, tmp_path: Path
) -> None:
    app = upload(open_page("data", tmp_path), content=log(events=18))
    assert "2 users with fewer than 5 searches" in " ".join(read(told.value) for told in app.caption)


def test_where_an_encoding_is_missing_its_field_is_open(open_page: Open, tmp_path: Path) -> None:
    def expander() -> Any:
        return next(one for one in app.get("expander") if one.label == "How the file is read")

    app = upload(open_page("data", tmp_path))
    assert not expander().proto.expanded
    app = upload(app, content=log().replace(b"git 1", "résumé".encode("latin-1")))
    assert "add --encoding windows-1252" in read(app.error[0].value)
    assert any("can be chosen above" in told.value for told in app.caption)
    assert expander().proto.expanded
    labelled(app.text_input, "Encoding").set_value("windows-1252").run()
    assert "60 searches of 4 users" in read(app.success[0].value)


def test_columns_that_are_not_named_are_asked_for(open_page: Open, tmp_path: Path) -> None:
    app = upload(open_page("data", tmp_path))
    labelled(app.selectbox, "User").set_value("–").run()
    assert app.warning[0].value == "Choose a column for user."
    labelled(app.selectbox, "User").set_value(QUERY).run()
    assert "are both the column" in read(app.error[0].value)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".json", ".parquet"])
def test_the_first_rows_of_every_kind_of_log(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"log{ending}"
    rows = [{"who": f"u{at % 3}", "ts": 1705000000 + at, "what": f"git {at}", "n": [at]} for at in range(9)]
    csv = "who,ts,what,n\n" + "".join(f'{r["who"]},{r["ts"]},{r["what"]},"[{r["ts"]}, 0]"\n' for r in rows)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    content = {
        ".csv": csv.encode(),
        ".csv.gz": gzip.compress(csv.encode()),
        ".jsonl": "\n".join(json.dumps(row) for row in rows).encode(),
        ".json": json.dumps(rows).encode(),
        ".parquet": buffer.getvalue(),
    }
    file.write_bytes(content[ending])
    names, shown = first_rows(file, Reading(), 5)
    assert names == ["who", "ts", "what", "n"]
    assert [row[:3] for row in shown[:2]] == [["u0", "1705000000", "git 0"], ["u1", "1705000001", "git 1"]]
    assert len(shown) == 5
    assert propose(names, shown) == {"time": "ts", "user": "who", "query": "what"}
    looked = uploads.look(file, {"user": "who", "time": "ts", "query": "what", "group": None}, Reading())
    assert (looked.users, looked.events, looked.queries) == (3, 9, 9)
    assert [written for written, _ in looked.examples] == ["1705000000", "1705000001", "1705000002"]
    assert looked.examples[1][1] == "11 January 2024, 19:06:41 UTC"


def test_a_value_like_an_option_is_joined_to_its_name() -> None:
    assert option("user", "--out") == ["--user=--out"]
    assert option("user", "a b") == ["--user", "a b"]


def test_a_dataset_that_has_been_made_is_shown(
    open_page: Open, tiny: Path, tmp_path: Path, started: Started
) -> None:
    app = upload(open_page("data", tmp_path))
    press(app, "Import")
    shutil.copytree(tiny, started[0][1])  # as the job would write it
    app.run()
    assert labelled(app.selectbox, "Dataset").value == "searches/log"
    assert app.metric


def test_no_job_is_started_for_a_name_that_is_taken(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "searches" / "taken").mkdir(parents=True)
    app = upload(open_page("data", tmp_path))
    labelled(app.text_input, "Name of the dataset").set_value("taken").run()
    assert r"searches\/taken already" in app.error[0].value
    assert jobs.jobs(tmp_path) == []
