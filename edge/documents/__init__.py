"""Pure: the documents that a fleet signs for its devices, built and opened."""
