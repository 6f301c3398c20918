"""For whoever runs the server: health, models, metrics, state."""
