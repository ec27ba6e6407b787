"""Faults on demand: a lossy MQTT proxy, and power cuts."""
