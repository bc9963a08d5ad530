"""Programs that the suite drives: Python in its two kinds."""
