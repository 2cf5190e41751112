"""A third party's plugin with cards; importing it imports nothing heavy."""
