"""What a service counts of itself, in Prometheus' text format."""

from bisect import bisect_left
from collections import Counter

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds, upper bounds of the histogram."""


class Figures:
    """Requests and their times; of one event loop, so that nothing has to be locked."""

    def __init__(self) -> None:
        self._requests = Counter[tuple[str, str, int]]()
        self._times: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; ``route`` is a pattern, and names nobody."""
        self._requests[method, route, status] += 1
        self._times.setdefault(route, [0] * (len(BOUNDS) + 1))[bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def text(self, **gauges: float) -> str:
        """Everything, with what stands at some number at this moment."""
        lines = [
            "# HELP persarank_requests_total Requests that were answered.",
            "# TYPE persarank_requests_total counter",
        ]
        for (method, route, status), number in sorted(self._requests.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            lines.append(f"persarank_requests_total{{{labels}}} {number}")
        lines += [
            "# HELP persarank_request_seconds Seconds from a request's head to its answer.",
            "# TYPE persarank_request_seconds histogram",
        ]
        for route, counts in sorted(self._times.items()):
            below = 0
            for bound, count in zip((*BOUNDS, "+Inf"), counts, strict=True):
                below += count
                lines.append(f'persarank_request_seconds_bucket{{route="{route}",le="{bound}"}} {below}')
            lines.append(f'persarank_request_seconds_sum{{route="{route}"}} {self._seconds[route]}')
            lines.append(f'persarank_request_seconds_count{{route="{route}"}} {below}')
        for name, value in gauges.items():
            lines += [f"# TYPE persarank_{name} gauge", f"persarank_{name} {value}"]
        return "\n".join(lines) + "\n"
