"""The device's sync process: carries the outbox up, and signed documents down, between store and broker."""
