"""The surroundings: a sample platform, free ports, ledger comparison."""
