"""`persarank export --format onnx` and `web`: a run's models, and all that they need, for other programs."""
