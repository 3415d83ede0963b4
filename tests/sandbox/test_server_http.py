"""The server on a socket: TLS, streams, and clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from server_stage import MAPS, a_map
from yarl import URL

from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.request import Request, Response
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.wire.listen import (
    Identity,
    Listener,
    kept_identity,
    kubeconfig,
    make_identity,
    write_kubeconfig,
)

IDENTITY = make_identity(WallClock().now())


class Site:
    """A listening sandbox and a session that trusts it."""

    def __init__(self, sandbox: Sandbox, listener: Listener, session: aiohttp.ClientSession) -> None:
        self.sandbox, self.listener, self.session = sandbox, listener, session

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.listener.url + path, json=body, **more) as answer:
            return answer.status, await answer.json(content_type=None)


def trusting(identity: Identity = IDENTITY) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=identity.certificate.decode())


@asynccontextmanager
async def a_site(identity: Identity = IDENTITY) -> AsyncIterator[Site]:
    sandbox = Sandbox(WallClock(), nodes=0)
    sandbox.customs.install()
    namespaces = sandbox.server.registry.find("", "v1", "namespaces")
    assert namespaces is not None
    await sandbox.server.call("create", namespaces, "", "", {"metadata": {"name": "default"}})
    listener = Listener(sandbox.server, identity)
    await listener.start()
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    connector = aiohttp.TCPConnector(ssl=trusting(identity), limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        try:
            yield Site(sandbox, listener, session)
        finally:
            await listener.stop()


async def until(look: Callable[[], Awaitable[bool] | bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            found = look()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.005)


async def test_a_client_that_trusts_the_kubeconfig_can_write_and_read(tmp_path: Path) -> None:
    async with a_site() as site:
        target = tmp_path / "sub" / "config"
        write_kubeconfig(target, kubeconfig(site.listener.url, IDENTITY, site.sandbox.token))
        assert target.stat().st_mode & 0o777 == 0o600
        config = json.loads(target.read_text())
        assert config["clusters"][0]["cluster"]["server"] == site.listener.url
        assert (await site.call("POST", MAPS, a_map("a")))[0] == 201
        assert (await site.call("GET", f"{MAPS}/a"))[1]["metadata"]["name"] == "a"


async def test_a_stranger_is_refused() -> None:
    async with a_site() as site:
        code, body = await site.call("GET", MAPS, headers={"Authorization": "Bearer nobody"})
        assert (code, body["reason"]) == (401, "Unauthorized")


async def test_a_watch_streams_while_others_write() -> None:
    async with a_site() as site:
        seen: list[str] = []

        async def read() -> None:
            async with site.session.get(f"{site.listener.url}{MAPS}?watch=1") as answer:
                async for line in answer.content:
                    seen.append(json.loads(line)["object"]["metadata"]["name"])

        reading = asyncio.ensure_future(read())
        await until(lambda: site.sandbox.server.watcher.open == 1)
        for name in "abc":
            await site.call("POST", MAPS, a_map(name))
        await until(lambda: seen == list("abc"))
        reading.cancel()
        await until(lambda: site.sandbox.server.watcher.open == 0)


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with a_site() as site:
        code, body = await site.call("POST", MAPS, a_map("a", x="y" * (3 << 20)))
        assert (code, body["reason"]) == (413, "RequestEntityTooLarge")
        assert (await site.call("POST", MAPS, a_map("a")))[0] == 201


async def test_long_selectors_bad_escapes_and_a_false_encoding_are_taken_as_kubernetes_takes_them() -> None:
    async with a_site() as site:
        await site.call("POST", MAPS, a_map("a"))
        names = ",".join(f"n{i}" for i in range(9000))
        code, body = await site.call("GET", f"{MAPS}?labelSelector=x+notin+({names})")
        assert (code, len(body["items"])) == (200, 1)
        plain = URL(f"{site.listener.url}{MAPS}?labelSelector=%zz&limit=1", encoded=True)
        async with site.session.get(plain, headers={"X-Long": "y" * 20_000}) as answer:
            assert answer.status == 200
        body = json.dumps(a_map("b")).encode()
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with site.session.post(site.listener.url + MAPS, data=body, headers=headers) as answer:
            assert answer.status == 201


@pytest.mark.parametrize(
    "sent",
    [b"\x00\xff" * 200, b"GET / HTTP/9.9\r\n\r\n", b"POST /api HTTP/1.1\r\nContent-Length: 99\r\n\r\n{", b""],
)
async def test_a_connection_full_of_rubbish_harms_nobody(sent: bytes) -> None:
    async with a_site() as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.listener.port, ssl=trusting())
        writer.write(sent)
        await writer.drain()
        writer.close()
        plain_reader, plain = await asyncio.open_connection("127.0.0.1", site.listener.port)
        plain.write(b"GET / HTTP/1.1\r\n\r\n")  # no TLS at all
        plain.close()
        assert plain_reader is not None
        assert (await site.call("GET", "/version"))[0] == 200


async def test_one_that_does_not_read_its_watch_does_not_stop_the_others() -> None:
    async with a_site() as site:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.listener.port, ssl=trusting(), limit=1024
        )
        request = (
            f"GET {MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.sandbox.token}\r\n\r\n"
        )
        writer.write(request.encode())
        await until(lambda: site.sandbox.server.watcher.open == 1)
        for i in range(40):
            assert (await site.call("POST", MAPS, a_map(f"m{i}", x="y" * 50_000)))[0] == 201
        assert reader is not None
        writer.transport.abort()


@pytest.mark.slow
async def test_a_thousand_idle_connections_cost_nothing_but_memory() -> None:
    async with a_site() as site:
        context = trusting()
        idle = [
            await asyncio.open_connection("127.0.0.1", site.listener.port, ssl=context) for _ in range(1000)
        ]
        assert (await site.call("POST", MAPS, a_map("a")))[0] == 201
        for _, writer in idle:
            writer.transport.abort()


def test_an_identity_is_kept(tmp_path: Path) -> None:
    now = WallClock().now()
    first = kept_identity(tmp_path, now)
    assert kept_identity(tmp_path, now) == first
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600


async def test_answers_small_and_large_come_whole_with_the_same_headers() -> None:
    async with a_site() as site:
        for n in range(12):
            assert (await site.call("POST", MAPS, a_map(f"m{n}", x="y" * 40_000)))[0] == 201
        for path, items in ((f"{MAPS}?limit=1", 1), (MAPS, 12)):
            async with site.session.get(site.listener.url + path) as answer:
                assert len((await answer.json())["items"]) == items
                found = {name.lower() for name in answer.headers}
                assert {"content-type", "cache-control", "content-length", "date"} <= found
                assert answer.headers["Cache-Control"] == "no-cache, private"


async def raw(site: Site, sent: str) -> bytes:
    """What one connection answers until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.listener.port, ssl=trusting())
    head = f"Host: x\r\nAuthorization: Bearer {site.sandbox.token}\r\n"
    writer.write(sent.replace("HEAD\r\n", head).encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_client_that_asks_ahead_gets_all_answers_in_order_and_the_last_closes() -> None:
    async with a_site() as site:
        await site.call("POST", MAPS, a_map("a"))
        sent = "".join(f"GET {p} HTTP/1.1\r\nHEAD\r\n\r\n" for p in ("/version", f"{MAPS}/a", f"{MAPS}/none"))
        answer = await raw(site, sent + "GET /version HTTP/1.1\r\nConnection: close\r\nHEAD\r\n\r\n")
        codes = re.findall(rb"HTTP/1.1 (\d+) ", answer)
        assert codes == [b"200", b"200", b"404", b"200"]


async def test_a_client_of_the_old_protocol_is_answered_and_let_go() -> None:
    async with a_site() as site:
        answer = await raw(site, "GET /version HTTP/1.0\r\nHEAD\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 200") and b'"major"' in answer


async def test_a_warning_of_several_lines_stays_one_header() -> None:
    async with a_site() as site:
        answer = Response(200, b"{}", headers=(("Warning", '299 - "a\r\nX-Evil: 1"'),))

        async def respond(request: Request) -> Response:
            return answer

        site.sandbox.server.respond = respond  # type: ignore[method-assign]
        async with site.session.get(site.listener.url + "/version") as got:
            assert "X-Evil" not in got.headers and got.headers["Warning"] == '299 - "a  X-Evil: 1"'
