"""The peers' own virtual environments, built once and kept.

They never share one with PersaRank: peers pin old versions of what it needs, and each other's.
An environment is built anew when its requirements change; one that cannot be built stops nobody else.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements"
ROOT = HERE.parents[1] / ".bench"
PEERS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))


class CannotBuildError(RuntimeError):
    """A peer's environment could not be built; the message says whose and why."""


def build(peer: str, root: Path = ROOT) -> Path:
    """The Python of a peer's environment, which is made if it is missing or out of date.

    Raises:
        CannotBuildError: venv or pip failed.
    """
    folder = root.resolve() / peer
    python = folder / "bin" / "python"
    done = folder / "built-from.txt"
    requirements = (REQUIREMENTS / f"{peer}.txt").read_text()
    if done.exists() and done.read_text() == requirements:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _run(peer, sys.executable, "-m", "venv", str(folder))
    _run(peer, str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS / f"{peer}.txt"))
    done.write_text(requirements)  # last, so that a broken-off build is begun again
    return python


def build_all(peers: tuple[str, ...] = PEERS, root: Path = ROOT) -> tuple[dict[str, Path], dict[str, str]]:
    """The Pythons of those peers that could be built, and for each other one the reason why not."""
    built: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for peer in peers:
        try:
            built[peer] = build(peer, root)
        except CannotBuildError as error:
            failed[peer] = str(error)
    return built, failed


def _run(peer: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        reason = said[-1].removeprefix("ERROR: ") if said else f"exit status {done.returncode}"
        raise CannotBuildError(f"{peer} cannot be built: {reason}")


def main() -> int:
    """Build the environments of the named peers, or of all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--root", type=Path, default=ROOT, help="where they are kept (default: .bench)")
    options = parser.parse_args()
    if unknown := set(options.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    built, failed = build_all(tuple(options.peers) or PEERS, options.root)
    for peer, python in built.items():
        print(f"{peer}: {python}")
    for reason in failed.values():
        print(reason, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
