"""Webhooks are reached over HTTPS: certificates, services, and the words for what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.admission.callers import (
    AppCaller,
    CallFailed,
    HttpCaller,
    NoCaller,
    Services,
    service_url,
)
from kruise_rollouts.sandbox.store import Store
from kruise_rollouts.sandbox.wire.listen import Identity, make_identity

NAMES = ("localhost", "hook.ns.svc")


class Hook:
    """A TLS server on loopback that echoes, or hangs."""

    def __init__(self) -> None:
        self.identity = make_identity(WallClock().now(), NAMES)
        self.port = 0
        self.closing = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self, folder: Path) -> AsyncIterator[Hook]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_context(self.identity, folder))
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.closing.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/hang":
            await self.closing.wait()
        return web.Response(status=202, body=await request.read() + request.host.encode())


def _context(identity: Identity, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = folder / "hook.pem"
    pem.write_bytes(identity.certificate + identity.key)
    context.load_cert_chain(pem)
    return context


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    async with Hook().listening(tmp_path) as hook:
        yield hook


@pytest.fixture
async def caller() -> AsyncIterator[HttpCaller]:
    caller = HttpCaller(lambda host, port: (host, port))
    yield caller
    await caller.aclose()


async def why(caller: HttpCaller, url: str, ca: bytes, timeout: float = 2.0) -> str:
    with pytest.raises(CallFailed) as caught:
        await caller.post(url, b"x", ca, timeout)
    return str(caught.value)


async def test_a_review_is_posted_to_whom_its_certificate_names(hook: Hook, caller: HttpCaller) -> None:
    answer = await caller.post(f"https://127.0.0.1:{hook.port}/a", b"x", hook.identity.certificate, 2)
    assert answer == (202, f"x127.0.0.1:{hook.port}".encode())


async def test_a_certificate_of_another_authority_is_not_trusted(hook: Hook, caller: HttpCaller) -> None:
    other = make_identity(WallClock().now()).certificate
    url = f"https://127.0.0.1:{hook.port}/a"
    assert await why(caller, url, other) == (
        "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    )


async def test_a_bundle_that_is_no_certificate_is_said_to_be_none(hook: Hook, caller: HttpCaller) -> None:
    assert "unable to parse bytes as PEM block" in await why(
        caller, f"https://127.0.0.1:{hook.port}/a", b"nonsense"
    )


async def test_nobody_listening_is_a_refused_connection(caller: HttpCaller) -> None:
    assert (
        await why(caller, "https://127.0.0.1:1/a", b"") == "dial tcp 127.0.0.1:1: connect: connection refused"
    )


async def test_a_webhook_that_hangs_exceeds_its_deadline(hook: Hook, caller: HttpCaller) -> None:
    url = f"https://127.0.0.1:{hook.port}/hang"
    assert await why(caller, url, hook.identity.certificate, 0.05) == "context deadline exceeded"


def a_service(store: Store, port: int = 443) -> None:
    meta = {"name": "hook", "namespace": "ns"}
    store.create("", "services", {"metadata": meta, "spec": {"ports": [{"port": port, "name": "https"}]}})


def endpoints(store: Store, port: int) -> None:
    subset = {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "https", "port": port}]}
    store.create("", "endpoints", {"metadata": {"name": "hook", "namespace": "ns"}, "subsets": [subset]})


async def test_a_service_is_reached_at_its_endpoints_under_its_own_name(hook: Hook) -> None:
    store = Store()
    a_service(store)
    endpoints(store, hook.port)
    caller = HttpCaller(Services(store))
    url = service_url({"name": "hook", "namespace": "ns", "path": "p"})
    assert url == "https://hook.ns.svc:443/p"
    assert await caller.post(url, b"x", hook.identity.certificate, 2) == (202, b"xhook.ns.svc:443")
    await caller.aclose()


async def test_a_service_whose_certificate_is_for_another_is_not_trusted(hook: Hook) -> None:
    caller = HttpCaller(lambda host, port: ("127.0.0.1", hook.port))
    found = await why(caller, "https://other.ns.svc:443/p", hook.identity.certificate)
    assert found == "tls: failed to verify certificate: x509: certificate is not valid for other.ns.svc"
    await caller.aclose()


def test_what_is_missing_of_a_service_is_named() -> None:
    store = Store()
    services = Services(store)

    def said(port: int = 443) -> str:
        with pytest.raises(CallFailed) as caught:
            services("hook.ns.svc", port)
        return str(caught.value)

    assert said() == 'service "hook" not found'
    a_service(store)
    assert said(444) == 'no service port 444 found for service "hook"'
    assert said() == 'no endpoints available for service "hook"'
    assert services("example.com", 443) == ("example.com", 443)


async def test_a_handler_in_this_process_is_called_without_a_socket() -> None:
    caller = AppCaller(WallClock())

    async def respond(path: str, body: bytes) -> tuple[int, bytes]:
        return 200, path.encode() + body

    caller.register("hook.ns.svc", respond)
    assert await caller.post("https://hook.ns.svc:443/p?timeout=2s", b"x", b"", 1) == (200, b"/px")
    caller.unregister("hook.ns.svc")
    with pytest.raises(CallFailed, match="no such host"):
        await caller.post("https://hook.ns.svc:443/p", b"x", b"", 1)


async def test_a_handler_in_this_process_has_a_deadline_as_well() -> None:
    caller = AppCaller(WallClock(), NoCaller())

    async def respond(path: str, body: bytes) -> tuple[int, bytes]:
        await asyncio.Event().wait()
        raise AssertionError

    caller.register("hook.ns.svc", respond)
    with pytest.raises(CallFailed, match="context deadline exceeded"):
        await caller.post("https://hook.ns.svc:443/p", b"x", b"", 0.01)
