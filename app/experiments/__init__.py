"""Experiments that one command makes whole: data, runs, figures. Each is one file."""
