"""Measurements, as ratios within one run: `make bench`. What they mean is in the table that it prints."""
