"""One scan's transaction: read the state, decide, record, enqueue; and what staff do about it later."""
