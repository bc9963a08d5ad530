"""Measurements of a whole fleet: real replicas, store and issuer, and callers that cost next to nothing."""
