"""Pushed settings: signed layers over the shipped profile, rolled back when they fail."""
