"""The command line of operations: keys, tokens, settings, devices, reviews."""
