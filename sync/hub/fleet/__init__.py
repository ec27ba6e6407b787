"""The fleet's records and the service that `edge-fleet` asks."""
