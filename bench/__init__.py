"""Measures Mintonce against what it is built on: `make bench`."""
