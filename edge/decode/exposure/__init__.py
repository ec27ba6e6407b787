"""Exposure for a code that is seen and not read, pure: proposals and the controller over time."""
