"""Structured logs: one JSON line an event, on stdout, for journald and jq."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger


class _UnbreakableStream:
    """Stream that never raises: a full disk or a closed pipe loses log lines, not a scan."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure(stream: TextIO = sys.stdout, **bound: str) -> FilteringBoundLogger:
    """Send every log line as one JSON object to ``stream``; return a logger with ``bound`` in each.

    A process's entry point calls it once.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _UnbreakableStream(stream))),
        cache_logger_on_first_use=True,
    )
    logger: FilteringBoundLogger = structlog.get_logger().bind(**bound)
    return logger
