"""Laws: structure."""
