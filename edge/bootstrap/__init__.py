"""Composition of a device: from a profile to devices, and from devices to a scanner."""
