"""Entry points with names that are none."""
