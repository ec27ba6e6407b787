"""The SQLite file itself: connection, opening, schema, migration, salvage."""
