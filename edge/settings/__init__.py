"""Pushed settings: signed layers over the shipped profile, tried in steps and rolled back on failure."""
