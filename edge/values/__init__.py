"""Pure value types that every room shares: instants, UUIDv7, person names."""
