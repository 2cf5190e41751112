"""Laws: engine."""
