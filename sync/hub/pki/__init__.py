"""The platform's certificates: authority, renewal, and the access lists of the broker."""
