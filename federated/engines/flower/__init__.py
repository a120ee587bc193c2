"""Messages carried by Flower (flwr 1.41): the only folder that knows its interface."""
