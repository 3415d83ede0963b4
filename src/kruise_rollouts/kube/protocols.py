"""The two things the upper layers are handed and never make: an API server to talk to, and a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time. `now` is for timestamps people see, `mono` for timeouts and expiry."""

    def now(self) -> datetime:
        """The wall clock, UTC, timezone-aware."""
        ...

    def mono(self) -> float:
        """Seconds from an arbitrary start; never jumps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock; at once (after a turn of the loop) if not positive."""
        ...


class Api(Protocol):
    """An API server: a real one over HTTPS, or the sandbox called directly. Same answers, same errors."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """The body of a 2xx answer. Raises kube.errors.ApiError for any other, Unavailable for none."""
        ...

    def watch(self, path: str, params: Mapping[str, str], *, idle_seconds: float) -> AsyncIterator[bytes]:
        """Lines of a watch (one JSON watch event each) until the server ends it.

        Raises ApiError if the watch is refused, Unavailable after `idle_seconds` without a byte.
        """
        ...
