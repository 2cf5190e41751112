"""Ends the interpreter politely."""

import sys

sys.exit("evil-exits is done")
