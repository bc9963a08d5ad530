"""Files that change while the service runs."""
