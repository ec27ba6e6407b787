"""Sources of frames and codes: cameras, video and picture files, scan engines."""
