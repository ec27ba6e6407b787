"""The protocol as data, for authors of an end: topics, schemas, examples and rules."""
