"""One thing that the doctor found."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Finding", "Status"]


class Status(Enum):
    """How it is: fine, absent by nature, less than it could be, or broken."""

    OK = "ok"
    ABSENT = "absent"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """Section and subject, how it is, in words, and what to do about it."""

    section: str
    subject: str
    status: Status
    detail: str
    advice: str | None = None
