"""The decoder in processes of its own, so that a hang or a crash in native code stays there."""
