"""The Suggest page without a browser: its states, what the box may say, and that visits are one's own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from app.suggestions.adaptation import Adaptation, NotAdaptableError
from app.suggestions.demo import RUNS
from app.suggestions.suggester import RANKINGS, Suggester, Suggestion, Suggestions
from app.suggestions.visit import Visit
from app.web.box import Act, Said, answers
from app.web.suggesting import visits

Open = Callable[..., AppTest]
BOX = "persarank_box"


@pytest.fixture
def opened(open_page: Open, prepared: Path, tmp_path: Path) -> Callable[..., AppTest]:
    """The page on the demo's runs, with a query in its URL."""

    def call(**query: str) -> AppTest:
        return open_page("suggest", tmp_path, [prepared / run for run in RUNS], **query)

    return call


def shown(app: AppTest) -> dict[str, Any]:
    """The data that the box was given."""
    (found,) = [element.proto for element in app.get("bidi_component") if element.proto.component_name == BOX]
    return dict(json.loads(found.json))


def says(app: AppTest, text: str, seq: int, *acts: dict[str, Any], mount: str = "m") -> AppTest:
    """Have the browser say something, as `box.js` does."""
    said = {"mount": mount, "seq": seq, "text": text, "acts": list(acts)}
    app.session_state["box"] = {"said": said}
    return app.run()


def act(app: AppTest, number: int, kind: str, text: str, typed: str = "h") -> dict[str, Any]:
    return {"number": number, "kind": kind, "text": text, "typed": typed, "of": shown(app)["of"]}


def texts(app: AppTest, place: int = 0) -> list[str]:
    return [row["text"] for row in shown(app)["lists"][place]["rows"]]


def learning_run(app: AppTest) -> AppTest:
    """Choose the run whose users have models of their own."""
    run = next(name for name in app.selectbox(key="run").options if RUNS[1] in name)
    return app.selectbox(key="run").set_value(run).run()


def test_the_first_page_offers_own_searches(opened: Callable[..., AppTest]) -> None:
    app = opened()
    assert not app.exception
    data = shown(app)
    assert (data["label"], data["typed"], data["lists"]) == ("Search as user 000", "", [])
    assert 0 < len(data["options"]) <= 10
    assert all(option["mark"] == "searched before" for option in data["options"])
    assert app.selectbox(key="user").options == [f"user {u:03d}" for u in range(5)]
    assert [metric.label for metric in app.metric] == ["accuracy@10", "MRR@10", "NMRR"]


def test_figures_are_those_of_the_report(opened: Callable[..., AppTest], prepared: Path) -> None:
    app = opened(user="user 002")
    learning_run(app)
    report = json.loads((prepared / RUNS[1] / "report.json").read_text())
    row = next(row for row in report["users"] if row["user"] == "user 002")
    assert [metric.value for metric in app.metric] == [f"{value:.3f}" for value in row["personal"].values()]
    changes = [f"{row['personal'][name] - row['global'][name]:+.3f}" for name in row["personal"]]
    assert [metric.delta for metric in app.metric] == changes
    assert any(float(change) for change in changes)


def test_an_answer_carries_the_number_of_its_question(opened: Callable[..., AppTest]) -> None:
    app = opened(k="4")
    learning_run(app)
    for seq, text in ((1, "h"), (2, "ho")):
        data = shown(says(app, text, seq))
        assert (data["mount"], data["seq"], data["typed"]) == ("m", seq, text)
        assert [len(one["rows"]) for one in data["lists"]] == [4] * 4
        assert [one["title"] for one in data["lists"]] == [answers.TITLES[name][0] for name in RANKINGS]
        assert data["note"] == answers.MOVES
    assert [option["text"] for option in data["options"]] == texts(app)


def test_a_run_with_one_model_shows_one_list_and_says_why(opened: Callable[..., AppTest]) -> None:
    app = opened()
    app.selectbox(key="run").set_value(
        next(r for r in app.selectbox(key="run").options if RUNS[0] in r)
    ).run()
    data = shown(says(app, "h", 1))
    assert [one["title"] for one in data["lists"]] == ["For you", "By history", "By popularity"]
    assert data["lists"][0]["what"] == "by the common model, from this user's past"
    assert data["note"].startswith("With fedavg nobody has a model of their own")
    assert not any(row["move"] for one in data["lists"] for row in one["rows"])
    says(app, "h", 1, act(app, 1, "why", texts(app)[1]))
    (chart,) = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    assert "everyone" not in json.loads(chart.proto.spec)["layer"][-1]["encoding"]["x"]["field"]
    assert "for everyone" not in chart.proto.spec


def test_what_was_done_is_carried_out_once(opened: Callable[..., AppTest]) -> None:
    app = opened()
    says(app, "h", 1)
    chosen = texts(app)[3]
    accepted = act(app, 1, "accept", chosen)
    for _ in range(2):  # until it is told that it was done, the browser says it again
        says(app, "h", 1, accepted)
    assert shown(app)["done"] == 1
    assert "1 search has joined" in " ".join(caption.value for caption in app.caption)
    marks = {option["text"]: option["mark"] for option in shown(app)["options"]}
    assert marks[chosen] == "from this visit"
    says(app, "", 2, accepted, act(app, 2, "forget", chosen))
    assert shown(app)["done"] == 2
    assert chosen not in [option["text"] for option in shown(app)["options"]]
    app.button(key="undo").click().run()
    assert shown(app)["options"][0]["text"] == chosen
    app.button(key="restart").click().run()
    assert "Search for something above" in app.caption[0].value
    assert app.button(key="undo").disabled
    says(app, "h", 3, act(app, 1, "accept", chosen), mount="another")
    assert shown(app)["done"] == 1, "numbers count within one mounting"


def place_of_the_buttons(app: AppTest) -> list[int]:
    """The numbers of the blocks around Undo, from the page inwards."""

    def below(block: Block) -> list[int] | None:
        for number, node in block.children.items():
            if node is app.button(key="undo"):
                return [number]
            inner = below(node) if isinstance(node, Block) else None
            if inner is not None:
                return [number, *inner]
        return None

    found = below(app.main)
    assert found is not None
    return found


def test_buttons_stay_where_they_are_while_the_visit_grows(opened: Callable[..., AppTest]) -> None:
    """Otherwise they are there twice while the page is drawn."""
    app = opened()
    says(app, "h", 1)
    before = place_of_the_buttons(app)
    for number in range(1, 8):
        says(app, "h", 1 + number, act(app, number, "accept", texts(app)[0]))
        assert place_of_the_buttons(app) == before
    assert "7 searches have joined" in " ".join(caption.value for caption in app.caption)


def test_what_was_done_on_another_users_list_is_left_out(opened: Callable[..., AppTest]) -> None:
    app = opened()
    of_another = act(app, 1, "accept", "hostel")
    app.selectbox(key="user").set_value("user 003").run()
    says(app, "h", 1, of_another)
    assert shown(app)["done"] == 1
    assert app.button(key="undo").disabled
    app.selectbox(key="user").set_value("user 000").run()
    assert app.button(key="undo").disabled


def test_a_visit_to_one_user_is_kept_while_another_is_looked_at(opened: Callable[..., AppTest]) -> None:
    app = opened()
    says(app, "h", 1, act(app, 1, "accept", "hedgehogs at night"))
    app.selectbox(key="user").set_value("user 003").run()
    says(app, "", 2)
    assert "hedgehogs at night" not in [option["text"] for option in shown(app)["options"]]
    says(app, "", 2, act(app, 2, "accept", "owls"))
    app.button(key="undo").click().run()
    app.selectbox(key="user").set_value("user 000").run()
    says(app, "", 3)
    assert shown(app)["options"][0]["text"] == "hedgehogs at night"


def test_two_sessions_share_nothing(opened: Callable[..., AppTest]) -> None:
    ann, ben = opened(), opened()
    says(ann, "", 1, act(ann, 1, "accept", "hedgehogs at night"))
    says(ann, "", 1, act(ann, 2, "forget", shown(ben)["options"][0]["text"]))
    says(ben, "hedgehogs a", 1)
    assert shown(ben)["lists"] == []
    says(ben, "", 2)
    gone = {option["text"] for option in shown(ben)["options"]} - {o["text"] for o in shown(ann)["options"]}
    assert len(gone) >= 1


def test_learning_and_its_way_back(opened: Callable[..., AppTest]) -> None:
    app = opened()
    learning_run(app)
    says(app, "h", 1)
    says(app, "h", 1, act(app, 1, "accept", texts(app)[2]))
    app.button(key="learn").click().run()
    assert not app.exception
    assert not app.error
    if app.info:  # this run keeps the common model, and says how far one may go
        app.button(key="learn").click().run()
    labels = [metric.label for metric in app.metric]
    assert labels[:2] == ["NMRR on held-out searches", "Distance from everyone's"]
    tables = " ".join(element.proto.body for element in app.get("html"))
    assert "For you, when “h” is typed" in tables
    app.button(key="undo").click().run()
    assert "Distance from everyone's" not in [metric.label for metric in app.metric]
    assert "1 search has joined" in " ".join(caption.value for caption in app.caption)


def test_how_far_to_learn_is_chosen_once(
    opened: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the run would not by itself: learning again goes as far, and says nothing against it."""
    real = Suggester.adapt

    def adapt(service: Suggester, visit: Visit, strength: float | None = None) -> tuple[Visit, Adaptation]:
        if strength is None:
            raise NotAdaptableError("This run keeps the common model.", (30.0, 7.0), "lam")
        return real(service, visit, strength)

    monkeypatch.setattr(Suggester, "adapt", adapt)
    app = learning_run(opened())
    says(app, "h", 1)
    says(app, "h", 1, act(app, 1, "accept", texts(app)[2]))
    app.button(key="learn").click().run()
    assert [info.value for info in app.info] == [r"This run keeps the common model\."]
    assert app.selectbox(key="strength").options == ["λ = 30", "λ = 7"]
    app.selectbox(key="strength").set_value("λ = 7").run()
    app.button(key="learn").click().run()
    for _ in range(2):
        assert not app.info
        assert any(r"(λ \= 7)" in told.value for told in app.markdown)
        assert app.selectbox(key="strength").value == "λ = 7"
        app.button(key="learn").click().run()
    distances = [metric for metric in app.metric if metric.label == "Distance from everyone's"]
    assert [metric.delta.split(" from ")[0] for metric in distances] == ["no change"]


def test_what_cannot_be_undone_any_more_can_be_forgotten(
    opened: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "STEPS", 1)
    app = opened()
    assert app.button(key="restart").disabled
    gone = [option["text"] for option in shown(app)["options"][:2]]
    says(app, "", 1, *(act(app, number, "forget", text) for number, text in enumerate(gone, 1)))
    app.button(key="undo").click().run()
    assert app.button(key="undo").disabled
    app.selectbox(key="user").set_value("user 003").run()
    app.selectbox(key="user").set_value("user 000").run()
    assert gone[0] not in [option["text"] for option in shown(app)["options"]]
    app.button(key="restart").click().run()
    assert gone == [option["text"] for option in shown(app)["options"][:2]]
    assert app.button(key="restart").disabled


def test_a_figure_that_stays_has_no_arrow() -> None:
    def page() -> None:
        import streamlit as st

        from app.web.suggesting.figures import measure

        for before in (0.5001, 0.4, None):
            measure(st._main, "a", 0.5, before, help="", words=" from it")

    same, more, alone = AppTest.from_function(page).run().metric
    assert (same.delta, more.delta, alone.delta) == ("no change", "+0.100 from it", "")
    assert same.proto.color == same.proto.MetricColor.GRAY
    assert more.proto.color == more.proto.MetricColor.GREEN


def test_why_a_suggestion_is_there(opened: Callable[..., AppTest]) -> None:
    app = opened()
    says(app, "h", 1)
    says(app, "h", 1, act(app, 1, "why", texts(app)[1]))
    assert not app.exception
    assert not app.error
    assert any("Exact Shapley values" in caption.value for caption in app.caption)
    (chart,) = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    assert "Contributions to the score" in str(chart.proto)
    says(app, "h", 1, act(app, 2, "why", "no such search"))
    assert "nothing to explain any more" in app.info[0].value


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"said": 1},
        {"said": {"mount": 1, "seq": "x", "text": [], "acts": {}}},
        {"said": {"mount": "m", "seq": -1, "text": "h", "acts": []}},
        {"said": {"mount": "m", "seq": 2**60, "text": "h", "acts": []}},
        {"said": {"mount": "m", "seq": 1, "text": "h" * 100_000, "acts": []}},
        {"said": {"mount": "m", "seq": 1, "text": "h", "acts": [{"number": 1, "kind": "delete everything"}]}},
    ],
)
def test_a_tampered_box_has_said_nothing(opened: Callable[..., AppTest], said: Any) -> None:
    app = opened()
    app.session_state["box"] = said
    app.run()
    assert not app.exception
    assert (shown(app)["mount"], shown(app)["seq"], shown(app)["typed"]) == ("", 0, "")


def test_tampered_urls_get_a_sentence(opened: Callable[..., AppTest]) -> None:
    app = opened(user="<b>:red[x]", run="../../nowhere", k="-3")
    assert not app.exception
    told = [one.value for one in app.warning]
    assert [one.split(" called ")[0] for one in told[:2]] == ["There is no run", "There is no user"]
    assert r"\<b\>" in told[1]
    assert told[2:] == [r"Lists cannot be \-3 long: choose a number from 1 to 20."]
    assert shown(app)["label"] == "Search as user 000"


@pytest.mark.parametrize(("k", "said"), [("0", 1), ("99", 1), ("abc", 1), ("7", 0), ("20", 0)])
def test_lengths_that_cannot_be_are_named(opened: Callable[..., AppTest], k: str, said: int) -> None:
    app = opened(k=k)
    assert [one.value.startswith("Lists cannot be") for one in app.warning] == [True] * said
    assert app.number_input(key="k").value == (10 if said else int(k))


def test_a_run_without_a_report_says_how_to_get_one(open_page: Open, prepared: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(prepared / RUNS[0], tmp_path / "runs" / "mine"))
    (run / "report.json").unlink()
    config = run / "config.toml"
    config.write_text(config.read_text().replace(str(prepared / "data"), str(tmp_path / "gone")))
    app = open_page("suggest", tmp_path, moved=[prepared / "data"])
    assert not app.exception
    assert app.code[0].value == f"persarank evaluate {run} --data={prepared / 'data'}"
    app.button(key="judge").click().run(timeout=120)
    assert not app.exception
    assert (run / "report.json").is_file()
    assert [metric.label for metric in app.metric] == ["accuracy@10", "MRR@10", "NMRR"]
    (run / "report.json").write_text("{}")
    app.run()
    assert "report.json is damaged" in app.warning[0].value.replace("\\", "")


def test_an_act_is_done_once_whatever_is_said() -> None:
    acts = tuple(Act(number, "why", "text", "t", "of") for number in (1, 2, 3))
    found = visits.Visits("m", 2)
    assert [one.number for one in found.to_do(Said("m", 9, "t", acts))] == [3]
    assert [one.number for one in found.to_do(Said("n", 9, "t", acts))] == [1, 2, 3]
    assert (found.doing(Said("m")), found.doing(Said("n"))) == (2, 0)


def test_only_the_models_list_calls_something_new() -> None:
    """Most of what was searched most often stands in no model's list."""
    a, b, c = (Suggestion(text, 1.0, False) for text in "abc")
    lists = {"personal": [c, a], "everyone": [a, b], "history": [c, a], "popularity": [b, c]}
    told = answers.answer(Suggestions("x", lists, 3), "ann", "of")["lists"]
    assert [[row["move"] for row in one["rows"]] for one in told] == [
        ["★ new", "▼ down 1"],
        ["", ""],
        ["", "▼ down 1"],
        ["▲ up 1", ""],
    ]


def test_moves_are_told_in_words() -> None:
    assert [answers.moved(places) for places in (3, -2, 0, "new")] == [
        ("up", "▲ up 3"),
        ("down", "▼ down 2"),
        ("", ""),
        ("new", "★ new"),
    ]
