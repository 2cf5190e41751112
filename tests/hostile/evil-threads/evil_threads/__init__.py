"""Calls find from other threads and waits for them."""
