"""Laws: round_trips."""
