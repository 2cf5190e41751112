"""Ends the process at once: nothing inside it can help, so the tests load it in other processes only."""
