"""How often garbage is looked for: seldom while a command runs, and then as before."""

import gc

import pytest

import app.commands.main


def test_a_command_looks_seldom_and_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before, kept, seen = (700, 11, 12), gc.get_threshold(), []
    monkeypatch.setattr(app.commands.main, "_code", lambda arguments: seen.append(gc.get_threshold()) or 0)
    gc.set_threshold(*before)
    try:
        with pytest.raises(SystemExit):
            app.commands.main.main(["list"])
        assert seen == [(app.commands.main.NEW_OBJECTS, *before[1:])]
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*kept)
