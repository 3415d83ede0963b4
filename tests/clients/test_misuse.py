"""Clients that send nonsense, or nothing, or never read, and webhooks that fail: nobody else notices.

Another client works meanwhile. That it is answered, and how often, is looked at; never how fast.
"""

from __future__ import annotations

import asyncio
import os
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.wire.listen import make_identity, ssl_context

from .misuse import MAPS, NONSENSE, Client, Got, Neighbour, Nonsense
from .process import sandbox

pytestmark = pytest.mark.slow
GROWTH_MIB = 150  # of resident memory, at most
WRITES, WRITTEN_BYTES = 150, 100_000  # while nobody reads the watches
IDLE = 1000


@pytest.fixture
def pair() -> Any:
    """A sandbox of the test's own: its kubeconfig and its process."""
    with sandbox("--no-controller") as config:
        yield config, holder_of(Client(config).port)


def holder_of(port: int) -> int:
    """The process that listens on a port."""
    wanted = f":{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inode = next(r[9] for r in rows if r[1].endswith(wanted) and r[3] == "0A")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody holds port {port}")


def resident_mib(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) >> 10


@asynccontextmanager
async def beside(config: Path, process: int, ns: str = "default") -> AsyncIterator[Client]:
    """A client; another one works beside it and must not notice, and memory must not grow much."""
    async with Client(config) as client, Client(config) as other:
        neighbour = Neighbour(other, ns)
        await neighbour.undisturbed()
        before = resident_mib(process)
        try:
            yield client
            await neighbour.undisturbed()
        finally:
            await neighbour.stop()
        assert resident_mib(process) - before < GROWTH_MIB


async def test_nonsense_is_refused_with_a_status_and_nobody_else_notices(pair: tuple[Path, int]) -> None:
    async with beside(*pair) as client:
        for asked in NONSENSE:
            got = await client.send(asked)
            assert 400 <= got.code < 500 or (asked.method, got.code) == ("OPTIONS", 405), (asked.name, got)
            if isinstance(got.status, dict):
                assert (got.status["kind"], got.status["code"]) == ("Status", got.code), asked.name
            else:
                assert got.message in ("", "404 page not found\n"), (asked.name, got)


@pytest.mark.cluster
async def test_nonsense_is_refused_as_a_real_api_server_refuses_it(pair: tuple[Path, int]) -> None:
    found: list[str] = []
    async with Client(pair[0]) as mine, Client(Path(os.environ["KUBECONFIG"])) as real:
        for asked in NONSENSE:
            ours, theirs = await mine.send(asked), await real.send(asked)
            if (ours.code, ours.message) != (theirs.code, theirs.message):
                found.append(
                    f"{asked.name}\n  real    {theirs.code} {theirs.message[:300]}\n  sandbox {ours.code} {ours.message[:300]}"
                )
    assert not found, "\n".join(found)


async def test_watches_that_nobody_reads_cost_little(pair: tuple[Path, int]) -> None:
    async with beside(*pair) as client, AsyncExitStack() as stack:
        for _ in range(5):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", client.port, ssl=client.context, limit=1024
            )
            head = f"GET {MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            stack.callback(writer.transport.abort)
            stack.callback(reader.feed_eof)
        for number in range(WRITES):
            body = {"metadata": {"name": f"m{number % 3}"}, "data": {"x": f"{number}" + "y" * WRITTEN_BYTES}}
            path = f"{MAPS}/m{number % 3}?fieldManager=a&force=true"
            await client.send(Nonsense("", "PATCH", path, _applied(body), "application/apply-patch+yaml"))


def _applied(body: dict[str, Any]) -> bytes:
    import json

    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **body}).encode()


async def test_a_thousand_connections_on_which_nothing_is_said_cost_little(pair: tuple[Path, int]) -> None:
    async with beside(*pair) as client:
        silent = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(IDLE)]
        try:
            assert (await client.send(Nonsense("", "GET", "/readyz"))).code == 200
        finally:
            for one in silent:
                one.close()


PATCH_OF_NOTHING = b64encode(b'[{"op":"remove","path":"/data/nothing"}]').decode()
ANSWERS = {
    "hang": "context deadline exceeded",
    "garbage": "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct",
    "empty": "0-length response with status code: 200 and content type: application/json",
    "error": 'an error on the server ("unknown") has prevented the request from succeeding',
    "patch": "remove operation does not apply: doc is missing path",
}


async def _hook(request: web.Request) -> web.Response:
    match request.path.strip("/"):
        case "hang":
            await asyncio.sleep(30)
            return web.Response()
        case "garbage":
            return web.Response(text="garbage", content_type="application/json")
        case "error":
            return web.Response(status=500, text="{}", content_type="application/json")
        case "patch":
            asked = await request.json()
            response = {
                "uid": asked["request"]["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": PATCH_OF_NOTHING,
            }
            return web.json_response(
                {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            )
    return web.Response(headers={"Content-Type": "application/json"})


@asynccontextmanager
async def a_webhook() -> AsyncIterator[tuple[str, str]]:
    """URL and authority of a webhook server that fails in the way its path says."""
    identity = make_identity(WallClock().now())
    application = web.Application()
    application.router.add_post("/{way}", _hook)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context(identity))
    await site.start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", b64encode(identity.certificate).decode()
    finally:
        await runner.cleanup()


async def _refused_by(client: Client, way: str, hook: tuple[str, str]) -> Got:
    """What a write comes to in a namespace whose webhook fails in that way."""
    url, authority = hook
    ns, name = f"misuse-{way}", f"{way}.misuse.example.com"
    configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    webhook = {
        "name": name,
        "clientConfig": {"url": f"{url}/{way}", "caBundle": authority},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    await client.make("/api/v1/namespaces", {"metadata": {"name": ns}})
    await client.make(configurations, {"metadata": {"name": name}, "webhooks": [webhook]})
    try:
        return await _settled(client, f"/api/v1/namespaces/{ns}/configmaps")
    finally:
        await client.send(Nonsense("", "DELETE", f"{configurations}/{name}"))
        await client.send(Nonsense("", "DELETE", f"/api/v1/namespaces/{ns}"))


async def _settled(client: Client, maps: str) -> Got:
    """The refusal, once the server has heard of the webhook."""
    for number in range(50):
        got = await client.make(maps, {"metadata": {"name": f"m{number}"}})
        if got.code >= 400:
            return got
        await asyncio.sleep(0.1)
    raise AssertionError("the webhook was never asked")


async def test_webhooks_that_hang_or_answer_nonsense_hold_up_only_what_they_judge(
    pair: tuple[Path, int],
) -> None:
    async with beside(*pair) as client, a_webhook() as hook:
        answers = await asyncio.gather(*(_refused_by(client, way, hook) for way in ANSWERS))
        for way, got in zip(ANSWERS, answers, strict=True):
            assert got.code == 500 and ANSWERS[way] in got.message, (way, got)


@pytest.mark.cluster
async def test_failing_webhooks_are_told_as_a_real_api_server_tells_them(pair: tuple[Path, int]) -> None:
    async with (
        Client(pair[0]) as mine,
        Client(Path(os.environ["KUBECONFIG"])) as real,
        a_webhook() as hook,
    ):
        for way in ANSWERS:
            ours, theirs = await _refused_by(mine, way, hook), await _refused_by(real, way, hook)
            assert (ours.code, ours.message) == (theirs.code, theirs.message)
