"""The commands of `mintonced`."""
