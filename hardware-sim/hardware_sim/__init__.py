"""Simulated hardware: ports in memory, rendered frames, faults, and a sample platform."""
