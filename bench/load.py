"""Writes and watches on one API server, from a process of its own: raw kept-alive connections, little work for each.

Started by sandbox.py, twice with the same numbers, so that what measures costs both servers the same:

    python -m bench.load KUBECONFIG NAMESPACE WRITES WATCHERS own|all

There are as many ConfigMaps box-0000... as watchers, patched in turn. `own`: each watcher follows one of them, as a
kubelet follows its node's pods; `all`: each follows all. Prints a `Result` as JSON.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from kruise_rollouts.cli.loops import run
from kruise_rollouts.kube.objects import CONFIG_MAP
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.kubeconfig import Connection, connect
from kruise_rollouts.runtime.tls import tls_context

WRITERS = 32
NUMBER = re.compile(rb'"number":"(\d+)"')
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
PATIENCE_SECONDS = 60.0


class Result(Struct, frozen=True):
    """What came out. Seconds; `delays` of events are from the sending of the write: median, 99th percentile, most."""

    seconds: float  # from the first write to the last answer
    events: int
    expected: int
    drained: float  # from the last answer to the last event
    delays: tuple[float, float, float]
    cpu: float  # of this process


class Run:
    """What all connections share."""

    def __init__(self, connection: Connection, ns: str, writes: int, watchers: int) -> None:
        proof = connection.credentials.fetch(WallClock().now())
        url = urlsplit(connection.server)
        self.host, self.port = url.hostname or "", url.port or 443
        self.tls = tls_context(connection, proof)
        lines = [f"{name}: {value}" for name, value in proof.headers.items()]
        self.head = "".join(
            f"{line}\r\n" for line in (f"Host: {url.netloc}", *lines, "Accept: application/json")
        )
        self.ns, self.watchers = ns, watchers
        self.left: Iterator[int] = iter(range(writes))
        self.sent = [0.0] * writes
        self.answered = 0
        self.last_answer = 0.0
        self.events = 0
        self.last_event = 0.0
        self.delays: list[float] = []

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        more = (
            f"Content-Type: application/merge-patch+json\r\nContent-Length: {len(body)}\r\n" if body else ""
        )
        return f"{method} {path} HTTP/1.1\r\n{self.head}{more}\r\n".encode() + body


class Writer(asyncio.Protocol):
    """One connection: patches until there is none left to send."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answer = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        number = next(self._run.left, None)
        assert self._transport is not None
        if number is None:
            self._transport.close()
            self.done.set_result(None)
            return
        path = CONFIG_MAP.path(self._run.ns, f"box-{number % self._run.watchers:04}")
        self._run.sent[number] = time.monotonic()
        self._transport.write(self._run.request("PATCH", path, b'{"data":{"number":"%d"}}' % number))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not _whole(self._answer):
            return
        if not self._answer.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._answer.decode()))
            return
        self._answer = b""
        self._run.answered += 1
        self._run.last_answer = time.monotonic()
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = LENGTH.search(head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


class Watcher(asyncio.Protocol):
    """One watch: counts the events that tell of a write."""

    def __init__(self, run: Run, path: str) -> None:
        self._run = run
        self._path = path
        self._rest = b""
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._run.request("GET", self._path))

    def data_received(self, data: bytes) -> None:
        text = self._rest + data
        if not self.started.done() and b"\r\n\r\n" in text:
            if text.startswith(b"HTTP/1.1 200"):
                self.started.set_result(None)
            else:
                self.started.set_exception(RuntimeError(text.decode()))
        if b'"type":"ERROR"' in text:
            raise RuntimeError(f"a watch was cut off: {text.decode()}")
        cut = text.rfind(b"\n") + 1
        self._rest = text[cut:]
        now, run = time.monotonic(), self._run
        found = NUMBER.findall(text, 0, cut)
        if found:
            run.events += len(found)
            run.last_event = now
            run.delays += [now - run.sent[int(number)] for number in found]


async def load(connection: Connection, ns: str, writes: int, watchers: int, own: bool) -> Result:
    run = Run(connection, ns, writes, watchers)
    loop = asyncio.get_running_loop()
    watches = []
    async with HttpApi(connection) as api:
        listed = msgspec.json.decode(await api.request("GET", CONFIG_MAP.path(ns)))
    # Of the last of them, not of the list: a busy API server may not have come as far as that.
    newest = max(int(box["metadata"]["resourceVersion"]) for box in listed["items"])
    for n in range(watchers):
        path = f"{CONFIG_MAP.path(ns)}?watch=1&resourceVersion={newest}" + (
            f"&fieldSelector=metadata.name%3Dbox-{n:04}" if own else ""
        )
        made = await loop.create_connection(lambda p=path: Watcher(run, p), run.host, run.port, ssl=run.tls)  # type: ignore[misc]
        watches.append(made)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(watcher.started for _, watcher in watches))
    await asyncio.sleep(0.5)
    busy, began = time.process_time(), time.monotonic()
    writers = [
        (await loop.create_connection(lambda: Writer(run), run.host, run.port, ssl=run.tls))[1]
        for _ in range(WRITERS)
    ]
    expected = writes if own else writes * watchers
    async with asyncio.timeout(PATIENCE_SECONDS * 4):
        await asyncio.gather(*(writer.done for writer in writers))
        while run.events < expected:
            await asyncio.sleep(0.02)
    cpu = time.process_time() - busy
    for transport, _ in watches:
        transport.abort()
    delays = sorted(run.delays)
    shown = tuple(delays[min(len(delays) - 1, int(len(delays) * share))] for share in (0.5, 0.99, 1.0))
    drained = max(0.0, run.last_event - run.last_answer)
    return Result(run.last_answer - began, run.events, expected, drained, shown, cpu)


async def main(kubeconfig: str, ns: str, writes: int, watchers: int, whose: str) -> None:
    print(msgspec.json.encode(await load(connect(kubeconfig), ns, writes, watchers, whose == "own")).decode())


if __name__ == "__main__":
    run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
