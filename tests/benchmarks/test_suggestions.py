"""The benchmark of the suggestion service measures what it says, on a small log."""

import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # its script finds those beside it, as when it is run
import keystrokes
import suggestions

from app.web import opened, server
from app.web.suggesting import figures
from ranking.sources import Log

sys.path[:] = [path for path in sys.path if path != str(HERE)]


def test_every_figure_is_measured() -> None:
    log = Log(suggestions.dataset(queries=1000, events=300, others=600))
    typed = suggestions.keystrokes(log, 30)
    assert len(typed) == 30
    assert all(any(text.startswith(one) for text in log.public.texts) for one in typed)
    rows = suggestions.measured(suggestions.service(log, "mlp"), typed)
    assert {"a keystroke", "explain one", "learn from a visit", "accept a search"} <= set(rows)
    for row in rows.values():
        assert 0 < row["p50"] <= row["p95"] <= row["p99"]
        assert row["cpu_p95"] > 0


def test_keystrokes_are_timed_on_the_page_that_the_app_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, names in ((opened, ("runs", "run_named", "service", "checksum")), (figures, ("show",))):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    served = create_autospec(server.serve)
    monkeypatch.setattr(server, "serve", served)
    keystrokes.page("mlp", queries=200, events=60, others=120, port=1)
    served.assert_called_once()
    assert list(opened.runs()) == ["mlp"]
    assert opened.service("mlp").visit(0).user == 0
