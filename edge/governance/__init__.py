"""Decommissioning of a device, and the sealing of what it still holds."""
