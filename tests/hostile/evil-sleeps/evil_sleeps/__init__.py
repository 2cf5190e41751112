"""Sleeps for five seconds as its light module is imported."""
