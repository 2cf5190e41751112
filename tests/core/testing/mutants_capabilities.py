"""Mutants: capabilities."""
