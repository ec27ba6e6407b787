"""The ports in memory, rendered camera frames, power cuts and scenarios."""
