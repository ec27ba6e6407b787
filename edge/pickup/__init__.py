"""Pickup from a compartment: door states, lock pulses, and recovery after a power cut."""
