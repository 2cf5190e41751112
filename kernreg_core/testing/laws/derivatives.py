"""Laws: derivatives."""
