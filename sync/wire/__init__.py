"""Pure: topics, messages and their coding, shared by device, hub and fleet."""
