"""Implements the hook with a wrong signature."""
