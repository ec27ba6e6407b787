"""Checks of ``edge-scanner doctor``: what this device has, what is wrong and what to do."""
