"""`edge-scanner demo`: the whole system on one machine, step by step."""
