"""Prints wherever a plugin can."""
