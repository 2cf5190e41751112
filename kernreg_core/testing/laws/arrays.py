"""Laws: arrays."""
