"""The device store: schema, ledger, orders cache, outbox, signed documents."""
