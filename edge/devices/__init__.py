"""Lamps, buzzer, locks, door contacts and switches, on GPIO pins or a lock board."""
