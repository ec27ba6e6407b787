"""Rules of an entitlement or of the configuration: JSON Logic, offline, pure and bounded."""
