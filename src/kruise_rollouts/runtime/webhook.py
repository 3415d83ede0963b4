"""Webhooks: a TLS server for the API server's reviews, and the same without a socket.

A handler that fails answers HTTP 500, so the failurePolicy of the webhook decides; nothing it does reaches other
requests. What handlers decide is not known here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from aiohttp import web

from kruise_rollouts.kube.admission import (
    AdmissionRequest,
    AdmissionResponse,
    admission_answer,
    conversion_answer,
    read_admission,
    read_conversion,
    refused,
)
from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Invalid
from kruise_rollouts.kube.protocols import Clock

from .clock import within
from .log import log_of

log = log_of(__name__)

HANDLER_SECONDS = 9.0  # below the 10 s an API server waits by default: it should get our words, not its own
BODY_LIMIT = 16 << 20  # bytes; a review holds two objects of up to 1.5 MiB, a conversion a page of a list

AdmissionHandler: TypeAlias = Callable[[AdmissionRequest], Awaitable[AdmissionResponse]]
ConversionHandler: TypeAlias = Callable[[Sequence[JsonObject], str], Awaitable[Sequence[JsonObject]]]
_Answer: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class ConversionError(Exception):
    """An object that cannot be shown in the wanted version; the message says which and why."""


class WebhookApp:
    """Paths and their handlers.

    Admission waits until `open()` is called, for handlers judge by what the caches hold; conversion does not, for
    filling the caches may need it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        handler_seconds: float = HANDLER_SECONDS,
        on_review: Callable[[str, int, float], None] = lambda path, status, seconds: None,
    ) -> None:
        """`on_review` is told path, HTTP status and seconds of each review."""
        self._clock = clock
        self._limit = handler_seconds
        self._on_review = on_review
        self._routes: dict[str, _Answer] = {}
        self._opened = asyncio.Event()

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self._routes)

    def open(self) -> None:
        """From now on admission reviews are judged."""
        self._opened.set()

    def route(self, path: str, handler: AdmissionHandler) -> None:
        """Admission reviews sent to `path` are judged by `handler`.

        Invalid, raised by it, is a refusal. Any other ApiError is our own trouble (the API server is away, an object
        is not as we know it): the failurePolicy decides.
        """

        async def answer(body: bytes) -> bytes:
            version, request = read_admission(body)
            await self._opened.wait()
            try:
                response = await handler(request)
            except Invalid as error:
                response = refused(error.message, code=error.code, reason=error.reason)
            return admission_answer(version, request.uid, response)

        self._routes[path] = answer

    def convert(self, path: str, handler: ConversionHandler) -> None:
        """Conversion reviews sent to `path` are answered by `handler`, which may raise ConversionError."""

        async def answer(body: bytes) -> bytes:
            version, request = read_conversion(body)
            try:
                objects = tuple(await handler(request.objects, request.desired_version))
            except ConversionError as error:
                return conversion_answer(version, request.uid, (), str(error))
            return conversion_answer(version, request.uid, objects)

        self._routes[path] = answer

    async def respond(self, path: str, body: bytes) -> tuple[int, bytes]:
        """HTTP status and body. Raises nothing but cancellation."""
        answer = self._routes.get(path)
        if answer is None:
            return 404, f"no webhook at {path}".encode()
        started = self._clock.mono()
        status, said = await self._answer(path, answer, body)
        self._on_review(path, status, self._clock.mono() - started)
        return status, said

    async def _answer(self, path: str, answer: _Answer, body: bytes) -> tuple[int, bytes]:
        try:
            return 200, await within(self._clock, self._limit, answer(body))
        except BadRequest as error:
            return 400, error.message.encode()
        except ApiError as error:
            log.warning("a webhook could not judge", path=path, error=error.message)
            return 503, f"the webhook {path} could not judge: {error.message}".encode()
        except TimeoutError:
            log.error("a webhook was too slow", path=path, seconds=self._limit)
            return 504, f"the webhook {path} took longer than {self._limit:g} s".encode()
        except Exception as error:  # noqa: BLE001  a fault in one review must not reach the others
            log.error("a webhook failed", bug=error, path=path)
            return 500, f"the webhook {path} failed: {type(error).__name__}".encode()


class WebhookServer:
    """A WebhookApp behind TLS. The SSLContext may be given new certificates while it serves."""

    def __init__(
        self, app: WebhookApp, tls: ssl.SSLContext, *, host: str = "0.0.0.0", port: int = 9876
    ) -> None:
        self._app = app
        self._tls = tls
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def listening(self) -> bool:
        return self._runner is not None and bool(self._runner.addresses)

    @property
    def port(self) -> int:
        """The port it listens on; what was asked for while it does not."""
        addresses = self._runner.addresses if self._runner is not None else []
        return int(addresses[0][1]) if addresses else self._port

    async def start(self) -> None:
        """Listens. Raises OSError if the port cannot be had."""
        server = web.Application(client_max_size=BODY_LIMIT)
        server.router.add_post("/{path:.*}", self._serve)
        runner = web.AppRunner(server, access_log=None, keepalive_timeout=75, shutdown_timeout=10)
        await runner.setup()
        try:
            await web.TCPSite(
                runner, self._host, self._port, ssl_context=self._tls, reuse_address=True
            ).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Finishes reviews in hand, then stops listening."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return web.Response(status=415, text="reviews are application/json")
        status, body = await self._app.respond(request.path, await request.read())
        kind = "application/json" if status == 200 else "text/plain"
        return web.Response(status=status, body=body, content_type=kind)
