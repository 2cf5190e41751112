"""A generator in the place of a list."""
