"""Small stand-ins for large things; ordinary modules, used by tests alone."""
