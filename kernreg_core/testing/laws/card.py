"""Laws: card."""
