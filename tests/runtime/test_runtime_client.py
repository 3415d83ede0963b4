"""The HTTP client against a small server on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from aiohttp import web

from kruise_rollouts.kube.errors import (
    Conflict,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    shortened,
)
from kruise_rollouts.runtime.client import USER_AGENT, HttpApi
from kruise_rollouts.runtime.credentials import CredentialError, Fixed, Proof
from kruise_rollouts.runtime.kubeconfig import Connection

OPTIONS = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Tokens:
    """Gives another token each time it is asked to fetch."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.proof: Proof | None = None

    def current(self, now: datetime) -> Proof | None:
        return self.proof

    def fetch(self, now: datetime) -> Proof:
        if not self.tokens:
            raise CredentialError("log in again")
        self.proof = Proof({"Authorization": f"Bearer {self.tokens.pop(0)}"})
        return self.proof


@asynccontextmanager
async def serving(handler: Handler, **named) -> AsyncIterator[HttpApi]:
    server = web.Server(handler)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    credentials = named.pop("credentials", Fixed(Proof()))
    async with HttpApi(Connection(f"http://127.0.0.1:{port}", credentials), **named) as api:
        yield api
    await runner.cleanup()


def refusing(status: int, reason: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(
            {"kind": "Status", "message": "told so", "reason": reason}, status=status, headers=headers
        )

    return handler


async def test_a_request_carries_what_was_asked_and_who_asks() -> None:
    seen: list[web.Request] = []
    bodies: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        bodies.append(await request.read())
        return web.json_response({"ok": True})

    async with serving(handler, credentials=Fixed(Proof({"Authorization": "Bearer t"}))) as api:
        answer = await api.request(
            "PATCH",
            "/api/v1/x",
            params={"fieldManager": "me"},
            body=b"{}",
            content_type="application/merge-patch+json",
        )
    (request,) = seen
    assert (answer, bodies) == (b'{"ok": true}', [b"{}"])
    assert (request.method, request.path_qs) == ("PATCH", "/api/v1/x?fieldManager=me")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.headers["Authorization"] == "Bearer t"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["User-Agent"] == USER_AGENT
    assert USER_AGENT.startswith("kruise-rollout")


async def test_connections_are_kept() -> None:
    peers = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async with serving(handler) as api:
        for _ in range(5):
            await api.request("GET", "/x")
    assert len(peers) == 1


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (503, "", Unavailable),
        (502, "", Unavailable),
    ],
)
async def test_a_refusal_is_raised_as_what_it_is(status: int, reason: str, error: type[Exception]) -> None:
    async with serving(refusing(status, reason)) as api:
        with pytest.raises(error, match="told so"):
            await api.request("GET", "/x")


async def test_how_long_to_wait_is_handed_on() -> None:
    async with serving(refusing(429, "TooManyRequests", **{"Retry-After": "7"})) as api:
        with pytest.raises(TooManyRequests) as caught:
            await api.request("GET", "/x")
    assert caught.value.retry_after == 7


async def test_warnings_are_handed_on() -> None:
    async def handler(request: web.Request) -> web.Response:
        response = web.Response()
        response.headers.add("Warning", '299 - "first, with a \\"quote\\"", 299 - "second"')
        response.headers.add("Warning", '299 - "third"')
        return response

    heard: list[str] = []
    async with serving(handler, on_warning=heard.append) as api:
        await api.request("GET", "/x")
    assert heard == ['first, with a "quote"', "second", "third"]


async def only_two(request: web.Request) -> web.Response:
    good = request.headers.get("Authorization") == "Bearer two"
    return web.Response(text="in") if good else web.json_response({"message": "who?"}, status=401)


async def test_refused_credentials_are_fetched_anew_once() -> None:
    answers: list[int] = []
    async with serving(
        only_two, credentials=Tokens("one", "two"), on_answer=lambda method, status: answers.append(status)
    ) as api:
        assert await api.request("GET", "/x") == b"in"
        assert await api.request("GET", "/x") == b"in"
    assert answers == [401, 200, 200]


async def test_credentials_that_stay_refused_say_what_to_do() -> None:
    async with serving(only_two, credentials=Tokens("one", "three", "four")) as api:
        with pytest.raises(Unauthorized, match="Log in again"):
            await asyncio.wait_for(api.request("GET", "/x"), 5)
    async with serving(only_two, credentials=Tokens("one")) as api:
        with pytest.raises(Unauthorized, match="log in again"):
            await api.request("GET", "/x")


async def test_no_answer_is_unavailable() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response()

    async def broken(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(slow) as api:
        with pytest.raises(Unavailable, match="did not answer in time"):
            await api.request("GET", "/x", timeout=0.02)
    async with serving(broken) as api:
        with pytest.raises(Unavailable, match="broke off"):
            await api.request("POST", "/x", body=b"{}")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await api.request("GET", "/x")
    await api.close()


def streaming(*pieces: bytes, then: float = 0.0) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.001)
        await asyncio.sleep(then)
        return response

    return handler


async def test_a_watch_gives_whole_lines_of_any_length_however_they_arrive() -> None:
    long = b"x" * 2_000_000
    async with serving(
        streaming(b'{"a"', b":1}\n{", b'"b":2}\n', long, long + b"\n\n", b'{"c":3}\n{"cut')
    ) as api:
        lines = [line async for line in api.watch("/w", {"watch": "1"}, idle_seconds=5)]
    assert lines == [b'{"a":1}', b'{"b":2}', long + long, b'{"c":3}']


async def test_a_watch_that_says_nothing_is_unavailable() -> None:
    async with serving(streaming(b"{}\n", then=0.2)) as api:
        lines = []
        with pytest.raises(Unavailable):
            async for line in api.watch("/w", {}, idle_seconds=0.02):
                lines.append(line)
    assert lines == [b"{}"]


async def test_a_refused_watch_says_why() -> None:
    async with serving(refusing(404, "NotFound")) as api:
        with pytest.raises(NotFound):
            async for _ in api.watch("/w", {}, idle_seconds=5):
                pass


async def test_whether_a_silent_server_is_still_there_is_asked_within_half_a_minute() -> None:
    """S44: a watch over a connection that is gone without a word is found out."""
    found: list[list[int]] = []

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({})

    async with serving(handler) as api:
        await api.request("GET", "/")
        session = api._session
        assert session is not None and session.connector is not None
        for held in session.connector._conns.values():  # type: ignore[attr-defined]
            for protocol, _ in held:
                one = protocol.transport.get_extra_info("socket")
                found.append([one.getsockopt(socket.IPPROTO_TCP, getattr(socket, o)) for o in OPTIONS])
    assert found and all(idle + every * times <= 30 for idle, every, times in found)


def test_a_long_refusal_keeps_its_cause_which_comes_after_the_object() -> None:
    told = "unable to decode " + "x" * 70_000 + ": cannot unmarshal number into int32"
    assert shortened("short") == "short"
    short = shortened(told)
    assert short.startswith("unable to decode") and short.endswith("into int32") and len(short) < 900
