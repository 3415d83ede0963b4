"""Small HTTP servers for probes and metrics: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from .telemetry import CONTENT_TYPE

Checks: TypeAlias = Callable[[], Mapping[str, bool]]


def health_app(checks: Checks) -> web.Application:
    """/healthz says whether the process turns its loop, /readyz whether all `checks` hold, naming each."""

    async def alive(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(request: web.Request) -> web.Response:
        found = checks()
        lines = "".join(f"[{'+' if good else '-'}] {name}\n" for name, good in found.items())
        return web.Response(status=200 if all(found.values()) else 503, text=lines)

    app = web.Application()
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    return app


def metrics_app(show: Callable[[], Awaitable[bytes]]) -> web.Application:
    """/metrics is what `show` gives."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=await show(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app


class HttpServer:
    """Serves an application at `address`: ":8081", "127.0.0.1:8080", "[::1]:8080"; "0" or "": nowhere."""

    def __init__(self, app: web.Application, address: str) -> None:
        self._app = app
        self._address = address
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 if it does not."""
        addresses = self._runner.addresses if self._runner is not None else []
        return int(addresses[0][1]) if addresses else 0

    async def start(self) -> None:
        """Raises OSError if the address cannot be had, ValueError if it is none."""
        if self._address in ("", "0"):
            return
        host, _, port = self._address.rpartition(":")
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        await web.TCPSite(self._runner, host.strip("[]") or None, int(port)).start()

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
