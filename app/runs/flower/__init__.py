"""The ranking job on a Flower network: what the server does, what nodes do, and how both are started."""
