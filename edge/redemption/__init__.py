"""Redemption: verify a scan, authorise it, record it and settle it; and retry it later."""
