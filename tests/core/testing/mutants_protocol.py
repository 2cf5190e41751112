"""Mutants: protocol."""
