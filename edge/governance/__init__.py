"""What ends a device's duty: decommissioning, with the sealing of what it still holds."""
