"""Encryption of what leaves the device or lies on it: pure, with keys and randomness as arguments."""
