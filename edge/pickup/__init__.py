"""Pickup from a compartment: the door's states, the lock's pulse, and recovery after a power cut."""
