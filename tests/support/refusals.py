"""Refuse an event as the platform does."""

from edge.store import refused_events


def set_aside(store, **refused) -> bool:
    """Set one event of ``store`` aside, in a transaction of its own."""
    with store.transaction() as connection:
        return refused_events.set_aside(connection, **refused)
