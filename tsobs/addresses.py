"""Kinds of settings that name something: a database, a host, a web origin, a cluster."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tsobs.settingkinds import Kind, text

__all__ = ["CLUSTER", "DATABASE_URL", "HOST", "ORIGINS"]


_DATABASE_URL_RULE = "must look like postgresql://user:password@host:5432/database"


def _database_url(value: object) -> str:
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f]", value.strip()):
        raise ValueError(_DATABASE_URL_RULE)
    url = value.strip()
    try:
        parts = urlsplit(url)
        named = parts.path.strip("/") != "" and parts.port != 0
    except ValueError:
        raise ValueError(_DATABASE_URL_RULE) from None
    if parts.scheme not in {"postgresql", "postgres"} or not named:
        raise ValueError(_DATABASE_URL_RULE)
    return url


DATABASE_URL = Kind("URL", _DATABASE_URL_RULE, _database_url)
HOST = text(
    "host",
    "must be an IP address or a host name",
    r"[0-9A-Za-z]([0-9A-Za-z._%:-]{0,253})?|::[0-9A-Za-z:.]*",
)
# Used in job ids (cluster:123.r0), labels and file names, so nothing that would need quoting there.
CLUSTER = text("name", "must be 1 to 64 letters, digits, '.', '_' or '-'", r"[0-9A-Za-z._-]{1,64}")
_ORIGIN = r"https?://[0-9A-Za-z._\[\]:-]{1,253}"
ORIGINS = text(
    "origins",
    "must be origins such as https://dashboard.example.org, with commas between, or *",
    rf"\*|{_ORIGIN}(\s*,\s*{_ORIGIN})*",
)
