"""A folder whose files are named like packages that the program imports, and the program called there."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.e2e.crashes import ROOT

OWN = ("app", "data", "federated", "ranking")
OTHERS = ("persarank", "streamlit", "numpy", "torch", "click", "random", "typing", "sitecustomize")
INSTALLED = f"import sys; sys.path += {[str(ROOT), str(ROOT / 'app' / 'door')]}; "
"""The packages and their door come last on the path, as an editable install puts them."""

CALL = INSTALLED + "from persarank import main; main()"

SETTINGS = """
[global]
developmentMode = true
[server]
baseUrlPath = "hub"
address = "0.0.0.0"
port = 1
allowedHosts = ["example.org"]
sslCertFile = "/nowhere/cert.pem"
sslKeyFile = "/nowhere/key.pem"
[browser]
serverAddress = "example.org"
serverPort = 1
"""


def lay(folder: Path, names: tuple[str, ...]) -> Path:
    """Lay modules and packages there that leave a trace and fail; returns the file of traces."""
    traces = folder / "traces"
    for name in names:
        spoiler = f"open({str(traces)!r}, 'a').write({name!r}); raise SystemExit('of the user: {name}')\n"
        (folder / f"{name}.py").write_text(spoiler)
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(spoiler)
    return traces


def lay_settings(directory: Path) -> dict[str, str]:
    """Lay Streamlit's settings and secrets of another page there; returns no variables of the environment."""
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text(SETTINGS)
    (directory / "secrets.toml").write_text('PERSARANK_APP = "/nowhere"\n')
    return {}


def environment(**more: str) -> dict[str, str]:
    """That of the tests, but what it says of Python's path; one thread."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def start(
    program: str, *arguments: object, cwd: Path | None = None, path: str | None = None, **more: str
) -> "subprocess.Popen[str]":
    """Run a program as the console script is run: the working directory is not on its path."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, *map(str, arguments)],
        cwd=cwd,
        env=environment(**more, **({"PYTHONPATH": path} if path else {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: "subprocess.Popen[str]") -> None:
    """Until the server answers there."""
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"{url} did not answer")
