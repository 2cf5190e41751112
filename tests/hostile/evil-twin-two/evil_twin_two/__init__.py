"""Offers a name that another distribution offers too."""
