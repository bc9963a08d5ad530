"""Finds testees, starts them, speaks with them, and writes down how they did."""
