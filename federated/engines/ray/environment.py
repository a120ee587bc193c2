"""What Ray reads from the environment; most of it at its first import, so nothing here imports it."""

import os
import secrets
import sys

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would tell its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns
}
MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"


def prepare(address: str) -> None:
    """Set what is not set, before anything imports ray.

    A Ray of this machine listens on all of its networks and does what it is told by whoever reaches it, so it
    gets a token that nobody else knows. One at an ``address`` has a token if who started it wanted one.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if not address and "ray" not in sys.modules and MODE not in os.environ:
        os.environ |= {MODE: "token", TOKEN: secrets.token_hex(32)}
