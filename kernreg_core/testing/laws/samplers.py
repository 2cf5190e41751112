"""Laws: samplers."""
