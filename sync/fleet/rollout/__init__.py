"""A settings rollout: preview, waves, and progress."""
