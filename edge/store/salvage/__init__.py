"""What can still be read of a broken store, and how it is carried into the one that replaces it."""
