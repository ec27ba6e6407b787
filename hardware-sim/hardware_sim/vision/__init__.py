"""What a camera sees: rendered codes, light, optics, sensor and clips."""
