"""Checks of a device or a hub against the published protocol."""
