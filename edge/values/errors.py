"""Base of the exceptions that this program raises."""

from __future__ import annotations


class EdgeError(Exception):
    """A failure of our own: broken hardware, a store that cannot be opened, a missing service.

    Wrong input from outside is a ``Refusal`` value instead (docs/adr/0005).
    """
