"""Laws: composition."""
