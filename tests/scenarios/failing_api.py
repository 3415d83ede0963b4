"""The Api of a manager that is about to fail: it dies after a write, or its API server is away for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from kruise_rollouts.kube.errors import Unavailable
from kruise_rollouts.kube.protocols import Api, Clock


class FailingApi:
    """Hands everything on to `api` while all is well."""

    def __init__(
        self, api: Api, clock: Clock, asked: Callable[[str, str], None] = lambda method, path: None
    ) -> None:
        """`asked` is told method ("WATCH" for watches) and path of each request."""
        self.api = api  # another one may be put in its place
        self._clock = clock
        self._asked = asked
        self._left: int | None = None  # writes until it dies; None: it lives
        self.away = False  # the API server cannot be reached
        self.written = 0  # objects of ours, leases and Events aside
        self.killed: Callable[[], object] = lambda: None  # ends the process

    def die_after(self, writes: int) -> None:
        self._left = writes

    async def kill(self) -> None:
        """As kill -9 does: nothing more is written, from now on."""
        self.away = True
        self.killed()
        await self._clock.sleep(0)

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
        self._asked(method, path)
        if method != "GET" and "/leases" not in path and "/events" not in path:
            if self._left == 0:
                await self.kill()
            self._left = None if self._left is None else self._left - 1
            self.written += not self.away
        if self.away:
            raise Unavailable("connection refused")
        return await self.api.request(
            method, path, params=params, body=body, content_type=content_type, timeout=timeout
        )

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle_seconds: float
    ) -> AsyncIterator[bytes]:
        self._asked("WATCH", path)
        if self.away:
            raise Unavailable("connection refused")
        async for line in self.api.watch(path, params, idle_seconds=idle_seconds):
            if self.away:
                raise Unavailable("connection reset")
            yield line
