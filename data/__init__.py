"""Where queries come from: schema, catalogue, simulator, log import, time splits, completions."""
