"""A shop with its own broker: provisioning, the authority under a lease, the platform bridge."""
