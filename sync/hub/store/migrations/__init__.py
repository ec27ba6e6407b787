"""SQL of the steps of the hub's schema, for SQLite and for PostgreSQL."""
