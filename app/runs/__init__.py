"""Runs: their settings and directories, training one, evaluating it."""
