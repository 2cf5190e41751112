"""A card whose fields hold what no query expects."""
