"""Encryption of data on the device or leaving it: pure; keys and randomness are arguments."""
