"""What testees talk to."""
