"""Two cards for one name."""
