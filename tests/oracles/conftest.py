"""What tests of injected defects share."""

from collections.abc import Callable
from typing import Any

import pytest

Patch = pytest.MonkeyPatch
Inject = Callable[[Patch], None]


@pytest.fixture
def caught(monkeypatch: Patch) -> Callable[..., None]:
    """Assert that a check passes, and that it fails once the defect is there."""

    def assert_caught(inject: Inject, check: Callable[..., None], *arguments: Any) -> None:
        check(*arguments)
        with monkeypatch.context() as patch:
            inject(patch)
            with pytest.raises(AssertionError):
                check(*arguments)

    return assert_caught
