"""Client-level differential privacy: what noise buys, and where it comes from."""
