"""``edge-scanner doctor``: what this device has, what is wrong, what to do."""
