"""Who this device is: its enrolled identity, and what remains of a damaged one."""
