"""Differential privacy of each user towards whoever sees the models: clipping, noise, and what they add up to."""
