"""Its entry needs a library that is not installed and not required."""
