"""What tests of searches share: short trainings in this process, that can be ended before any of them."""

import io
from collections.abc import Callable, Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout

import pytest

from app.commands import main
from app.experiments.children import ChildError, Command

SMALL = ("--config", "small.toml", "--updates")
SHORT = (*SMALL, 40)
NEVER = "--set", "lr=1e-9"
PLANTED = (*SMALL, 80, *NEVER, "--over", "lr=0.05,1e-8,1e30,1e-7,1e-6")
"""One of these learns; one diverges; those like the defaults never leave the start."""


CONFIG = """
run = {evaluations = 1}
ranker = {hidden = [8]}
local = {local_steps = 3}
objective = {personal_steps = 3}
"""


class Ended(BaseException):
    """What no handler of the product takes."""


class Here:
    """Trains in this process, instead of in children; and ends it all before one of the trainings."""

    def __init__(self, last: int | None = None) -> None:
        self.left, self.commands = last, []

    def __call__(
        self,
        commands: Sequence[Command],
        tell: Callable[[str], None],
        *,
        forgiven: Collection[int],
        look: Callable[[], None],
    ) -> dict[int, ChildError]:
        failed = {}
        for number, command in enumerate(commands):
            if self.left == len(self.commands):
                raise Ended
            self.commands.append(command)
            said = io.StringIO()
            with pytest.raises(SystemExit) as ended, redirect_stderr(said), redirect_stdout(io.StringIO()):
                main.main(list(command))
            code = int(ended.value.code or 0)
            assert code == 0 or code in forgiven, said.getvalue()
            if code:
                failed[number] = ChildError("a command", said.getvalue().strip(), code)
            look()
        return failed
