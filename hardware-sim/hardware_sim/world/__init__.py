"""What surrounds a scanner: a sample platform, free ports, ledger comparison."""
