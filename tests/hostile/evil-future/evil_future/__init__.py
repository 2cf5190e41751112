"""Needs a core that does not exist yet."""
