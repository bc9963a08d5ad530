"""Measurements of a whole fleet: real replicas, a real store, a practice issuer, and callers that cost next to nothing."""
