"""Its hook raises."""
