"""The benchmark of the suggestion service measures what it says, on a small log."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # its script finds those beside it, as when it is run
import suggestions

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
