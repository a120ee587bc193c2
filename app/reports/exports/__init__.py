"""Rankings and features in the formats of other programs."""
