"""Text to models and back: YAML, JSON, and where each value stood."""
