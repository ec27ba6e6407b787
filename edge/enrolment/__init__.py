"""How a device comes to belong to a fleet, and how it leaves it."""
