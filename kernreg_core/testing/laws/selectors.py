"""Laws: selectors."""
