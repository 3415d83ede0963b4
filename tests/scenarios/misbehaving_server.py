"""A real API server behind a proxy on loopback that delays, refuses, breaks off, or is away, as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.runtime.kubeconfig import Connection, connect

NOT_PASSED_ON = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
Answer = tuple[int, str]  # HTTP status and reason of a Status
Whim = Callable[
    [str, str], Answer | None
]  # method ("WATCH" for watches) and path -> what to say; None: pass it on


class Misbehaving:
    """While nothing is set it passes everything on."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.delay = 0.0  # seconds before each request is passed on
        self.away = ""  # "refuses": connections break at once; "hangs": nobody answers, ever
        self.whim: Whim = lambda method, path: None
        self.writes: list[
            tuple[float, str, str]
        ] = []  # monotonic seconds, method and path; not of Leases, Events
        self.url = ""
        self._connection = connection
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._open: set[web.StreamResponse] = set()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        watching = request.query.get("watch") in ("1", "true")
        method = "WATCH" if watching else request.method
        if method not in ("GET", "WATCH") and "/leases" not in request.path and "/events" not in request.path:
            self.writes.append((self._clock.mono(), method, request.path))
        await self._is_there(request)
        if self.delay and not watching:
            await self._clock.sleep(self.delay)
        told = self.whim(method, request.path)
        if told is not None:
            status = {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": told[0],
                "reason": told[1],
            }
            headers = {"Retry-After": "1"} if told[0] == 429 else {}
            return web.json_response({**status, "message": "on a whim"}, status=told[0], headers=headers)
        return await self._pass_on(request, watching)

    async def _is_there(self, request: web.Request) -> None:
        """Returns as soon as somebody is there; not at all if connections are refused."""
        while self.away == "hangs":
            await self._clock.sleep(0.1)
        if self.away and request.transport is not None:
            request.transport.abort()
            raise ConnectionResetError("away")

    async def _pass_on(self, request: web.Request, watching: bool) -> web.StreamResponse:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in NOT_PASSED_ON}
        async with self._session.request(
            request.method,
            self._connection.server + request.raw_path,
            headers=headers,
            data=await request.read() if request.can_read_body else None,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in NOT_PASSED_ON}
            if not watching:
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
            stream = web.StreamResponse(status=answer.status, headers=kept)
            await stream.prepare(request)
            self._open.add(stream)
            try:
                async for chunk in answer.content.iter_any():
                    await self._is_there(request)
                    await stream.write(chunk)
            finally:
                self._open.discard(stream)
            return stream

    def close_watches(self) -> int:
        """Breaks off all watches; how many."""
        for stream in (found := list(self._open)):
            if stream._req is not None and stream._req.transport is not None:
                stream._req.transport.abort()
        return len(found)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Misbehaving]:
        context = ssl.create_default_context(cadata=self._connection.ca or None)
        proof = await asyncio.to_thread(self._connection.credentials.fetch, self._clock.now())
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, headers=proof.headers, timeout=timeout, auto_decompress=False
        ) as self._session:
            runner = web.ServerRunner(web.Server(self.respond, access_log=None), shutdown_timeout=0.5)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                self.away = "refuses"
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(runner.cleanup(), 5)


def misbehaving(clock: Clock) -> Misbehaving:
    """The API server of KUBECONFIG; use it as `async with misbehaving(clock).serving() as server`."""
    return Misbehaving(connect(), clock)
