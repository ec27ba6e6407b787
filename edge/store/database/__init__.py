"""The SQLite file itself: connection, schema, migration, salvage."""
