"""Encryption of what leaves the device or lies on it; knows no other room."""
