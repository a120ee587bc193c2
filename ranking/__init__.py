"""What a ranker is and how good it is: slates, features, losses, metrics, rankers, persistence."""
