"""A card for an entry that the distribution does not have."""
