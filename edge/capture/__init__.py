"""Frames: picamera2, V4L2, files; and the slot that keeps only the newest."""
