"""The app that Flower runs."""
