"""The errors of the service, split by who must act.

TsobsError
├── CallerError              the sender's fault: 4xx, the same request will fail again
│   ├── InvalidRequest       400  not JSON, ragged, wrong types
│   ├── ValidationError      400  a field breaks a rule
│   ├── Unauthorized         401  no token, or one we do not know
│   ├── Forbidden            403  a token that may not do this
│   ├── NotFound             404
│   ├── Conflict             409  what is asked contradicts what is stored
│   ├── TooLarge             413
│   └── UnsupportedMedia     415
├── Overloaded               503  try again, with the same bytes, after `retry_after_s`
└── SetupError               the operator must act: the command prints it and stops
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CallerError",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Overloaded",
    "SetupError",
    "TooLarge",
    "TsobsError",
    "Unauthorized",
    "UnsupportedMedia",
    "ValidationError",
]


class TsobsError(Exception):
    """Root of the tree; `details` is what the JSON answer carries beside the message."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class CallerError(TsobsError):
    """The request can never succeed as it is."""

    status = 400
    code = "invalid_request"


class InvalidRequest(CallerError):
    """The body or a parameter cannot be read."""


class ValidationError(CallerError):
    """A field was read and breaks a rule."""

    code = "validation_error"


class Unauthorized(CallerError):
    """No token was given where one is needed, or it is unknown, expired or revoked."""

    status = 401
    code = "unauthorized"


class Forbidden(CallerError):
    """The token is good, but not for this."""

    status = 403
    code = "forbidden"


class NotFound(CallerError):
    """There is no such thing, or the viewer may not know of it."""

    status = 404
    code = "not_found"


class Conflict(CallerError):
    """The request contradicts what is stored."""

    status = 409
    code = "conflict"


class TooLarge(CallerError):
    """The body is over a limit that the message names."""

    status = 413
    code = "too_large"


class UnsupportedMedia(CallerError):
    """The body's type or encoding is not one we read."""

    status = 415
    code = "unsupported_media_type"


class Overloaded(TsobsError):
    """The service or its database cannot take this now; nothing was stored for good."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 5.0, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_s = retry_after_s


class SetupError(TsobsError):
    """Something that only the operator can put right; the message says what to do."""

    code = "setup_error"
