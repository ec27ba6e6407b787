"""The register of issued codes: each code has a record before its token leaves."""
