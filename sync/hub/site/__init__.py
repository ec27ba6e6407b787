"""A shop with its own broker: provisioning, authority under a lease, and the bridge to the platform."""
