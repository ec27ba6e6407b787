"""Structured logs: one JSON line an event, on stdout, for journald and jq.

Control characters in it are escaped: text of a device moves no cursor of a person who reads a log.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from edge.values.printable import json_escaped


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


def _encoded(event: dict[str, Any], **options: Any) -> str:
    return json_escaped(json.dumps(event, ensure_ascii=False, **options))


def configure(stream: TextIO = sys.stdout, **bound: str) -> FilteringBoundLogger:
    """Send every log line as one JSON object to ``stream``; return a logger with ``bound`` in each.

    A process's entry point calls it once.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encoded),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _UnbreakableStream(stream))),
        cache_logger_on_first_use=True,
    )
    logger: FilteringBoundLogger = structlog.get_logger().bind(**bound)
    return logger
