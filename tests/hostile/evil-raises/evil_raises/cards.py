"""Raises an error whose text raises another."""


class Unspeakable(Exception):
    """An error that cannot be shown."""

    def __str__(self):
        raise RuntimeError("no text for you")


raise Unspeakable
