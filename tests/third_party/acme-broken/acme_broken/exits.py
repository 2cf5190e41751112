"""A module that tries to end the interpreter as it is imported."""

raise SystemExit(3)
