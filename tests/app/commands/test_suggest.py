"""`persarank suggest`: the lists of a user, their own beside everyone's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.commands.exits import BAD_DATA, BAD_RUN, OK, USAGE
from app.reports.suggestions import moved
from app.suggestions.suggester import NEW, Suggester, of_run

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import app.commands.main

    out = tmp_path_factory.mktemp("suggest") / "run"
    command = ["train", "--data", str(tiny), "--out", str(out), "--algorithm", "ditto", "--updates", "60"]
    with pytest.raises(SystemExit) as ended:
        app.commands.main.main([*command, "--set", "lam=1", "--json"])
    assert ended.value.code == OK
    return out


def test_the_lists_are_the_services(run: Path, cli: Cli) -> None:
    suggester = of_run(run)
    name = suggester.users[7]
    called = cli("suggest", run, "ho", "--user", name, "--k", 4, "--json")
    assert called.code == OK, called.err
    told = json.loads(called.out)
    answer = suggester.suggest(suggester.visit(7), "ho", 4)
    assert (told["run"], told["user"], told["prefix"]) == (str(run), name, "ho")
    moves = Suggester.moves(answer.personal, answer.everyone)
    for name, theirs in answer.lists.items():
        ours = [dict(one) for one in told[name]]
        if name == "personal":
            assert [one.pop("moved") for one in ours] == list(moves.values())
        assert ours == [{"text": s.text, "score": s.score, "own": s.own} for s in theirs]
        assert len(ours) == 4
    assert told["candidates"] == answer.size


def test_what_people_see(run: Path, cli: Cli) -> None:
    suggester = of_run(run)
    latest = suggester.recent(suggester.visit(3), 1)[0]
    asked = ("suggest", run, latest[:3], "--user", suggester.users[3], "--k", 75)
    called = cli(*asked)
    told = json.loads(cli(*asked, "--json").out)["personal"]
    before = sum(one["own"] for one in told)
    assert any(one["own"] and one["text"] == latest for one in told)
    assert called.out.count("│ • ") == before >= 1
    assert called.out.endswith(f"• {suggester.users[3]} has searched it before.\n")
    assert cli("suggest", run, "zzzz", "--user", suggester.users[3]).out == (
        f"There is nothing to suggest to {suggester.users[3]} for 'zzzz'.\n"
    )


def test_one_model_makes_one_list_and_a_sentence_says_why(prepared: Path, cli: Cli) -> None:
    asked = ("suggest", prepared / "fedavg", "h", "--user", "user 000", "--k", 3)
    out = cli(*asked).out
    assert "for everyone" not in out
    assert "against everyone's" not in out
    why = (
        "With fedavg nobody has a model of their own: all share one, and each gets lists from their own past."
    )
    assert why in " ".join(out.split())
    told = json.loads(cli(*asked, "--json").out)
    assert told["models"] == {"own": False, "common": True, "why": why}
    assert [one["moved"] for one in told["personal"]] == [None] * 3
    assert told["everyone"] == []


def test_nothing_typed_shows_the_latest_searches(run: Path, cli: Cli) -> None:
    suggester = of_run(run)
    name = suggester.users[3]
    latest = suggester.recent(suggester.visit(3), 4)
    called = cli("suggest", run, "", "--user", name, "--k", 4, "--why")
    assert called.code == OK, called.err
    first, *lines = called.out.splitlines()
    assert first == f"Nothing was typed; {name} has searched lately:"
    assert [text for text in latest if any(text in line for line in lines)] == latest
    told = json.loads(cli("suggest", run, " ", "--user", name, "--k", 4, "--json").out)
    assert [one["text"] for one in told["personal"]] == latest
    assert told["everyone"] == []


def test_reasons_are_those_of_the_service(run: Path, cli: Cli) -> None:
    """Of the first three as sentences, of all in JSON."""
    suggester = of_run(run)
    visit = suggester.visit(3)
    asked = ("suggest", run, "ho", "--user", suggester.users[3], "--k", 5, "--why")
    personal = suggester.suggest(visit, "ho", 5).personal
    reasons = [suggester.explain(visit, "ho", one.text) for one in personal]
    told = json.loads(cli(*asked, "--json").out)["personal"]
    assert [one["reasons"] for one in told] == [json.loads(json.dumps(why.plain())) for why in reasons]
    out = cli(*asked).out
    for number, why in enumerate(reasons, 1):
        line = f"\n{number}. {why.text}: {' '.join(why.sentences)}\n"
        assert (line in out) == (number <= 3)
    assert out.endswith(reasons[0].method + "\n")


def test_moves_in_words() -> None:
    assert [moved(places) for places in (3, -1, 0, NEW)] == ["3 up", "1 down", "same place", "not among them"]


def test_capitals_that_nobody_typed_are_named(run: Path, cli: Cli) -> None:
    """Only where small letters would be answered."""
    name = of_run(run).users[3]
    called = cli("suggest", run, "Ho", "--user", name)
    assert called.code == OK, called.err
    assert called.out == (
        f"There is nothing to suggest to {name} for 'Ho'; capitals count here, and for 'ho' there is.\n"
    )
    assert json.loads(cli("suggest", run, "Ho", "--user", name, "--json").out)["instead"] == "ho"
    assert cli("suggest", run, "Zzzz", "--user", name).out == (
        f"There is nothing to suggest to {name} for 'Zzzz'.\n"
    )
    assert json.loads(cli("suggest", run, "zzzz", "--user", name, "--json").out)["instead"] is None


def test_who_or_what_is_unknown_gets_a_sentence(run: Path, cli: Cli, tmp_path: Path) -> None:
    name = of_run(run).users[3]
    called = cli("suggest", run, "ho", "--user", name + "x")
    assert called.code == USAGE
    assert f"no user of this run is called '{name}x'; did you mean {name}" in called.err.replace("\n", " ")
    assert cli("suggest", tmp_path, "ho", "--user", name).code == BAD_RUN
    assert cli("suggest", run, "ho", "--user", name, "--data", tmp_path).code == BAD_DATA
