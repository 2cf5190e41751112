"""Laws: members."""
