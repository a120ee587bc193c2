"""Draws the figures of runs for people: one story in blocks, as an HTML page or as Markdown."""
