"""Runs of a service: another takes the place of one, and several answer by name."""

import shutil
from pathlib import Path

from app.service.limits import Limits
from app.service.serving import Serving
from app.service.store import Store
from tests.app.service.conftest import Start


def test_another_run_takes_the_place_without_losing_what_was_kept(
    run: Path, store: Store, tmp_path: Path, start: Start
) -> None:
    place = tmp_path / "current"
    place.symlink_to(run)
    serving = Serving([place], store)
    client = start(serving, Limits())
    client.observe("ann", "heptagon tiles")
    assert not serving.look(), "nothing new"
    before = serving.first.people
    other = tmp_path / "other"
    other.mkdir()
    place.unlink()
    place.symlink_to(other)
    assert not serving.look(), "no run is there"
    assert serving.first.people is before
    for file in run.iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    assert serving.look()
    assert serving.first.people is not before
    assert client.suggest("ann", "hepta") == ["heptagon tiles"]
    assert client.get("/readyz").json["runs"] == {"current": "other"}


def test_several_runs_know_what_users_do_and_answer_by_name(
    run: Path, common: Path, store: Store, tmp_path: Path, start: Start
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    client = start(Serving([run, common, other], store), Limits())
    asked = {"user": "user 001", "q": "hepta", "k": 100}
    for name in (run.name, common.name):
        assert client.get("/v1/suggest", **asked, run=name).json["suggestions"] == []
    for _ in range(2):
        client.observe("user 001", "heptagon tiles", "hep")
    answers = [client.get("/v1/suggest", **asked, run=name).json for name in (run.name, common.name)]
    assert [answer["run"] for answer in answers] == [run.name, common.name]
    assert [answer["model"] for answer in answers] == ["own", "common"]
    assert all(answer["suggestions"][0]["text"] == "heptagon tiles" for answer in answers)
    assert client.get("/v1/suggest", **asked).json == answers[0]
    client.post("/v1/adapt", {"user": "user 001", "run": run.name})
    client.observe("user 001", "heptagon tiles", "hep")  # from which only the other learns
    found = {run.name: client.get("/v1/suggest", **asked, run=run.name).json}
    client.post("/v1/adapt", {"user": "user 001", "run": other.name})
    found[other.name] = client.get("/v1/suggest", **asked, run=other.name).json
    assert found[run.name]["suggestions"] != found[other.name]["suggestions"]
    assert client.post("/v1/adapt", {"user": "user 001", "run": common.name}).status == 409
    again = start(Serving([common, other, run], store), Limits())
    assert again.get("/v1/suggest", **asked).json["model"] == "common", "it has no such step, and ranks"
    for name in (run.name, other.name):
        adapted = client.get("/v1/suggest", **asked, run=name).json
        assert again.get("/v1/suggest", **asked, run=name).json == adapted == found[name], "each its own"
    client.post("/v1/adapt", {"user": "user 001"})
    adapted = client.get("/v1/suggest", **asked, run=other.name).json
    anew = start(Serving([other], store), Limits())
    assert anew.get("/v1/suggest", **asked).json == adapted, "what was asked of all runs is for each"
