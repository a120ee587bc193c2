"""Progress bars: every phase with its name and how far it is; a training with its figures."""

import io
import re

import pytest
from rich.console import Console

import app.commands.progress
from app.commands.progress import ProgressBars
from app.commands.training_progress import TrainingBars
from data.progress import UNKNOWN
from federated.events import Evaluated, Finished, Merged


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 120 columns would show."""
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(app.commands.progress, "Console", lambda stderr: terminal)
    return shown


def test_phases_are_shown_with_how_far_they_are(screen: io.StringIO) -> None:
    with ProgressBars() as bars:
        bars.tell("reading", 0, 8)
        bars.tell("reading", 8, 8)
        bars.tell("pools", 30, 120)
        bars.tell("saving", 0, UNKNOWN)
    shown = screen.getvalue()
    assert re.search(r"reading .* 100%", shown)
    assert re.search(r"pools .*  25%", shown)
    assert "saving" in shown


def test_nothing_is_drawn_where_it_is_to_be_quiet(screen: io.StringIO) -> None:
    with ProgressBars(quiet=True) as bars:
        bars.tell("reading", 1, 2)
    assert screen.getvalue().strip() == ""


def test_a_training_shows_its_figures(screen: io.StringIO) -> None:
    """Also events that merge nothing; personal models do not count as updates that take long."""
    with TrainingBars("persa-fl", 10) as bars:
        bars.see(Merged(1, 0, (), (), ("not finite",), 5, 0.5))
        bars.see(Merged(2, 1, (3,), (1,), (), 5, 0.7))
        bars.see(Evaluated(2, {"loss": 1.0, "nmrr": 0.5, "p10_user_nmrr": 0.1}))
        speed = bars._detail(2)
        bars.tell("personal models", 3, 4)
        bars.see(Finished(2, None, None, 0.1))
        assert bars._detail(2) == speed
    shown = screen.getvalue()
    assert re.search(r"persa-fl .* 100%", shown)
    assert "loss 1.000  NMRR 0.500  staleness 1.0" in shown
    assert re.search(r"personal models .*  75%", shown)
