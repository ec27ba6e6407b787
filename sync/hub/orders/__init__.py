"""Order lines at the hub and the feeds that carry them to sites."""
