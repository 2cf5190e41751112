"""Its card names functions of other distributions."""
