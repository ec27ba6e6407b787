"""Redemption: verify a scan, authorise it, and record it; and retry it later."""
