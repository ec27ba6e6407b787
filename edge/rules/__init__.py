"""Rules of an entitlement or of the configuration: JSON Logic and CertLogic, offline, pure and bounded."""
