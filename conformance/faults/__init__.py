"""Testees with a planted fault each, to test the suite itself."""
