"""The platform's end of the protocol: a reference implementation."""
