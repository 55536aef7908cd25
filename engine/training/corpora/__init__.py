"""Text of every kind to learn from: extracted, deduplicated, split and served as tokens."""
