"""The device store: every table of the device, and all SQL of this package."""
