"""What this device trusts now: its root keys, and how fresh its lists are; files of keys."""
