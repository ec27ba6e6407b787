"""Settings that ops push: signed layers over the shipped profile, taken step by step and taken back when they fail."""
