"""Failures that are reported to operations."""

from __future__ import annotations


class RequestError(Exception):
    """A request that cannot be answered; the message goes to ops."""
