"""The protocol as data, for those who write an end: topics, schemas, examples and rules."""
