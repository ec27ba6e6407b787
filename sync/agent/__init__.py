"""The device's sync process, between store and broker: events up, signed documents down."""
