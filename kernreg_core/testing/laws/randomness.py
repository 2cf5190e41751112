"""Laws: randomness."""
