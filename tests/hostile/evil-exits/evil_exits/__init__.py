"""Ends the interpreter with SystemExit."""
