"""Who may ask, and how much: tokens, sizes, and requests a second."""

import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass, field

MOST_KNOWN = 100_000
"""Users whose rate is remembered."""


@dataclass
class Limits:
    """What a service takes.

    Attributes:
        token: that every request must bear; None: whoever reaches the service may ask.
        names: of the machine, by which it may be asked; None: any. A page from elsewhere can have a browser
            of this machine ask, but only by another name.
        body: bytes of a request, at most.
        rate: requests a second of one user, in the long run; and ``burst`` at once.
        at_once: requests under way of everybody together.
        seconds: until the whole of a request must have come.
    """

    token: str | None = None
    names: frozenset[str] | None = None
    body: int = 16_384
    rate: float = 50.0
    burst: float = 100.0
    at_once: int = 500
    seconds: float = 10.0
    _left: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict, repr=False)

    def allows(self, header: str | None) -> bool:
        """Whether a request with this Authorization header may ask; tokens are compared in constant time."""
        if self.token is None:
            return True
        scheme, _, given = (header or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token.encode())
        return right and scheme.lower() == "bearer"

    def takes(self, host: str | None) -> bool:
        """Whether a request with this Host header may ask."""
        name = (host or "").lower()
        if not name.endswith("]"):
            name = name.rpartition(":")[0] if ":" in name else name
        return self.names is None or name.strip("[]") in self.names

    def forget(self, user: str) -> None:
        """Keep nothing of a user."""
        self._left.pop(user, None)

    def wait(self, user: str) -> float:
        """Seconds that a user has to wait before they may ask again; 0: they have just been let through."""
        now = time.monotonic()
        left, since = self._left.pop(user, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        allowed = left >= 1
        self._left[user] = (left - allowed, now)
        while len(self._left) > MOST_KNOWN:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.rate
