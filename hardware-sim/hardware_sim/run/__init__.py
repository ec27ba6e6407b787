"""Running scanners: in this process, or as a stack of real processes."""
