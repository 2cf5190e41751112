"""Imports a heavy library beside its cards."""
