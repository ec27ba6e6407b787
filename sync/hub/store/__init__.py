"""The hub's database: one interface over SQLite and PostgreSQL."""
