"""Simulated parts behind the device's ports: lamps, locks, doors, boards, pins."""
