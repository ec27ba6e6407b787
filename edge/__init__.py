"""The edge scanner: everything that must work with no network."""
