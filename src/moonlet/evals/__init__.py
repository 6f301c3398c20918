"""Measuring models: how fast they run here, and against whom."""
