"""Laws: bad_input."""
