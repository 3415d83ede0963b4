"""What an API server refuses with, as exceptions. Raised by clients and by the sandbox, caught at the edge only."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Cause(Struct, frozen=True, omit_defaults=True):
    """One entry of Status.details.causes."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Status.details."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_seconds: int = 0


class _Meta(Struct, frozen=True, omit_defaults=True):
    pass


class Status(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A metav1.Status, the body of every failed request."""

    kind: str = msgspec.field(default="Status")
    api_version: str = "v1"
    metadata: dict[str, str] = {}
    status: str = "Failure"
    message: str = ""
    reason: str = ""
    details: Details | None = None
    code: int = 0


class ApiError(Exception):
    """A request that the API server refused, or could not answer (code 0: no answer at all)."""

    code = 0
    reason = ""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        reason: str | None = None,
        details: Details | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.code if code is None else code
        self.reason = self.reason if reason is None else reason
        self.details = details
        self.retry_after = retry_after  # seconds, from the Retry-After header


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Gone(ApiError):
    code, reason = 410, "Expired"


class TooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class Unavailable(ApiError):
    """No answer, or 502/503/504: worth trying again later."""

    code, reason = 503, "ServiceUnavailable"


_BY_CODE: dict[int, type[ApiError]] = {
    c.code: c
    for c in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, Conflict, Gone,
        TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, Unavailable,
    )
}  # fmt: skip
_decode = msgspec.json.Decoder(Status, strict=False).decode


def shortened(message: str, most: int = 800) -> str:
    """A long message without its middle: it may hold a whole object, and the cause comes after that."""
    kept = most // 2
    return message if len(message) <= most else f"{message[:kept]} ... {message[-kept:]}"


def error_of(code: int, body: bytes, retry_after: float | None = None) -> ApiError:
    """The exception for an HTTP answer `code` with `body` (a Status, or anything at all)."""
    try:
        status = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        status = Status(message=body[:300].decode("utf-8", "replace"))
    kind = AlreadyExists if code == 409 and status.reason == "AlreadyExists" else _BY_CODE.get(code)
    if kind is None:
        kind = Unavailable if code >= 500 else ApiError
    return kind(
        status.message or f"the server answered {code}",
        code=code,
        reason=status.reason or kind.reason,
        details=status.details,
        retry_after=retry_after,
    )


def status_of(error: ApiError) -> Status:
    """The Status object an API server sends for `error`."""
    return Status(message=error.message, reason=error.reason, details=error.details, code=error.code)
