"""Counting, encoding and rendering without running the model."""
