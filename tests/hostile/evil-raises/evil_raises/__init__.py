"""Raises as its light module is imported."""
