"""Decoders in processes of their own, so that a hang or a crash in native code stays there."""
