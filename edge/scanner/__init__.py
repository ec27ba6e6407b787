"""The scanner process: its loop, its supervision, and the changes that it follows while it runs."""
