"""Mutants: solvers."""
