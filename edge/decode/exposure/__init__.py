"""Exposure for a code that is seen and not read: proposals (pure) and the controller."""
