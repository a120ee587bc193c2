"""The web page: its entry, its server and its screens."""
