"""The commands of `edge-fleet`, one module each."""
