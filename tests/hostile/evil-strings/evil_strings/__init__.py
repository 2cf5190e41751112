"""Strings and dictionaries in the place of cards."""
