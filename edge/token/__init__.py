"""Signed codes: bytes and keys in, claims or a refusal out. Pure."""
