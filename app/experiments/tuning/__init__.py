"""`persarank tune`: settings chosen by successive halving on validation slates."""
