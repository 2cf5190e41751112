"""Laws: properties."""
