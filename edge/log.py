"""Structured logs: one JSON line an event, on stdout, for journald and for people with jq."""

from __future__ import annotations

import sys
from typing import TextIO

import structlog
from structlog.typing import FilteringBoundLogger


def configure(stream: TextIO = sys.stdout, **bound: str) -> FilteringBoundLogger:
    """Send every log line as one JSON object to ``stream``; return a logger that says ``bound`` in each.

    Called once, by a process's entry point.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logger: FilteringBoundLogger = structlog.get_logger().bind(**bound)
    return logger
