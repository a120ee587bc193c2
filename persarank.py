"""The program's door: `app` is what lies beside this file, whatever else of that name is on Python's path."""

import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

sys.path.insert(0, HERE)
importlib.import_module("app")  # which finds its own neighbours
sys.path.remove(HERE)


def main() -> None:
    """Run the command line."""
    importlib.import_module("app.commands.main").main()
