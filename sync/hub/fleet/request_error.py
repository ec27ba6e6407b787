"""Failures that are reported to operations."""

from __future__ import annotations

from edge.values.errors import EdgeError


class RequestError(EdgeError):
    """A request that cannot be fulfilled; the message goes to operations."""
