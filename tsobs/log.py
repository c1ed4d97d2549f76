"""Logging to standard error, as text or JSON, with the correlation id of the request."""

from __future__ import annotations

import contextvars
import datetime
import json
import logging
import sys
from typing import Any

__all__ = ["CORRELATION_ID", "set_up_logging"]

CORRELATION_ID: contextvars.ContextVar[str] = contextvars.ContextVar("correlation_id", default="")

# What every record has; anything else came with `extra`.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# A name or a path in a message must not be able to start a line of its own.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


def set_up_logging(level: str, style: str) -> None:
    """Send everything from `level` up to standard error as `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    handler.addFilter(_quiet_bad_http)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def _quiet_bad_http(record: logging.LogRecord) -> bool:
    """Port scanners and TLS on a plain port are no news: the client got its 400."""
    from_parser = record.name == "aiohttp.server" and record.exc_info and record.exc_info[0]
    return not (from_parser and from_parser.__module__ == "aiohttp.http_exceptions")


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    found = {key: value for key, value in vars(record).items() if key not in _USUAL}
    if correlation_id := CORRELATION_ID.get():
        found["correlation_id"] = correlation_id
    return found


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().translate(_CONTROL)
        pairs = "".join(f" {k}={str(v).translate(_CONTROL)}" for k, v in _extra(record).items())
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {message}{pairs}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)
