"""Times of a column: what each cell can mean, and the one convention that fits them all."""
