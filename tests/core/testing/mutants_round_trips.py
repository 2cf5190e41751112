"""Mutants: round_trips."""
