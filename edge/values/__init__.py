"""Pure value types that every room shares; imports no other room."""
