"""Its light module does not exist."""
