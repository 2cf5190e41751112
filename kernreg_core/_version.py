"""The version of every first-party distribution, kept in this one place."""

__version__ = "0.1.0"
