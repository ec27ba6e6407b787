"""The fleet's records and the service behind ``edge-fleet``."""
