"""Nothing at all in the place of a list."""
