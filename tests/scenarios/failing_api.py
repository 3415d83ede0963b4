"""The Api of a manager that is about to fail: it dies after a write, or its API server is away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from kruise_rollouts.kube.errors import ApiError, Unavailable
from kruise_rollouts.kube.protocols import Api, Clock

BROKEN = Unavailable("connection timed out", code=0)


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
        self.lag = 0.0  # seconds by which watches tell late
        self.refusal: ApiError | None = None  # what writes are answered with
        self._watches = 0  # so far
        self._readers: set[asyncio.Future[None]] = set()
        self._deaf: dict[
            str, int
        ] = {}  # by the end of the path: the first so many of them tell nothing any more
        self.written = 0  # objects of ours, leases and Events aside
        self.killed: Callable[[], object] = lambda: None  # ends the process

    def die_after(self, writes: int) -> None:
        self._left = writes

    def deafen(self, plural: str = "") -> None:
        """The connections of the watches there are now are dead, and nobody notices. `plural` "": all of them."""
        self._deaf[plural] = self._watches

    async def drop_watches(self) -> None:
        """Whoever watches finds out that the connections are dead."""
        for reader in tuple(self._readers):
            reader.cancel()
        await self._clock.sleep(0)

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
        if self.refusal is not None and method != "GET" and "/events" not in path:
            raise self.refusal
        return await self.api.request(
            method, path, params=params, body=body, content_type=content_type, timeout=timeout
        )

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle_seconds: float
    ) -> AsyncIterator[bytes]:
        self._asked("WATCH", path)
        if self.away:
            raise Unavailable("connection refused")
        self._watches += 1
        number = self._watches
        lines: asyncio.Queue[tuple[float, bytes | ApiError | None]] = asyncio.Queue()
        reader = asyncio.ensure_future(self._read(path, params, idle_seconds, lines))
        self._readers.add(reader)
        try:
            while True:
                at, line = await lines.get()
                deaf = any(path.endswith(end) and number <= last for end, last in self._deaf.items())
                if deaf and line is not BROKEN:
                    continue
                await self._clock.sleep(at + self.lag - self._clock.mono())
                if self.away:
                    raise Unavailable("connection reset")
                if isinstance(line, ApiError):
                    raise line
                if line is None:
                    return
                yield line
        finally:
            self._readers.discard(reader)
            reader.cancel()

    async def _read(
        self,
        path: str,
        params: Mapping[str, str],
        idle_seconds: float,
        lines: asyncio.Queue[tuple[float, bytes | ApiError | None]],
    ) -> None:
        end: ApiError | None = None
        try:
            async for line in self.api.watch(path, params, idle_seconds=idle_seconds):
                lines.put_nowait((self._clock.mono(), line))
        except ApiError as error:
            end = error
        except asyncio.CancelledError:
            end = BROKEN
        lines.put_nowait((self._clock.mono(), end))
