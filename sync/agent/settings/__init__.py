"""Pushed settings on the device: intake, application and probation."""
