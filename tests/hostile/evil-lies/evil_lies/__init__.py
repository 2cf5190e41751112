"""Its cards declare capabilities that its objects do not have."""
