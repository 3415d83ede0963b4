"""Requests that make no sense, and a client that sends them. What each should come to is not said here."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import b64decode
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml
from yarl import URL

MAPS = "/api/v1/namespaces/default/configmaps"
ROOT_CA = f"{MAPS}/kube-root-ca.crt"
JSON, YAML = "application/json", "application/yaml"
MERGE, JSON_PATCH, APPLY = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
)
GOOD = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"misuse"}}'
BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)


def _with_data(data: bytes) -> bytes:
    return GOOD[:-1] + b',"data":' + data + b"}"


def _deep(levels: int) -> bytes:
    return _with_data(b'{"a":' * levels + b"1" + b"}" * levels)


class Nonsense(NamedTuple):
    name: str
    method: str
    path: str
    body: bytes = b""
    type: str = ""
    headers: dict[str, str] = {}


def _bodies() -> list[Nonsense]:
    texts = {
        "truncated": GOOD[:-10],
        "empty": b"",
        "zeroes": b"\0" * 100,
        "3 MiB": _with_data(b'{"a":"' + b"x" * (3 << 20) + b'"}'),
        "too much data": _with_data(b'{"a":"' + b"x" * 1_600_000 + b'"}'),
        "100 deep": _deep(100),
        "not UTF-8": GOOD.replace(b"misuse", b"\xff\xfe"),
        "UTF-16": GOOD.decode().encode("utf-16"),
        "byte order mark": b"\xef\xbb\xbf" + GOOD,
        "HTML": b"<html>",
        "a number": b"1",
        "null": b"null",
        "a list": b"[]",
        "a text": b'"x"',
    }
    out = [Nonsense(name, "POST", MAPS, body, JSON) for name, body in texts.items()]
    out += [
        Nonsense("aliases of aliases", "POST", MAPS, BOMB, YAML),
        Nonsense("an alias in itself", "POST", MAPS, b"a: &a [*a]", YAML),
        Nonsense("a tab in YAML", "POST", MAPS, b"\tx: y", YAML),
        Nonsense("aliases applied", "PATCH", f"{MAPS}/x?fieldManager=a", BOMB, APPLY),
        Nonsense("a truncated patch", "PATCH", ROOT_CA, b'{"a":', MERGE),
        Nonsense(
            "a patch that is not UTF-8", "PATCH", f"{ROOT_CA}?dryRun=All", b'{"data":{"\xff":"x"}}', MERGE
        ),
        Nonsense("a JSON patch that is no list", "PATCH", ROOT_CA, b"{}", JSON_PATCH),
        Nonsense("an unknown operation", "PATCH", ROOT_CA, b'[{"op":"frob","path":"/a"}]', JSON_PATCH),
        Nonsense("too many operations", "PATCH", ROOT_CA, _operations(10_001), JSON_PATCH),
        Nonsense("options cut off", "DELETE", f"{MAPS}/misuse", b'{"ki', JSON),
        Nonsense("options of another kind", "DELETE", f"{MAPS}/misuse", b'{"kind":"x"}', JSON),
    ]
    return out


def _operations(count: int) -> bytes:
    one = b'{"op":"test","path":"/kind","value":"ConfigMap"}'
    return b"[" + b",".join([one] * count) + b"]"


def _heads() -> list[Nonsense]:
    types = (
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "a/b/c",
    )
    out = [Nonsense(f"type {t}", "POST", MAPS, GOOD, t) for t in types]
    out += [Nonsense(f"verb {m}", m, MAPS) for m in ("PURGE", "LOCK", "OPTIONS", "HEAD")]
    paths = (
        "/nowhere", "/api/v2/pods", "/api/v1/frobs", "/apis/nobody.example.com/v1/things", "/apis/apps/v0/deployments",
        f"{MAPS}/x/y/z", f"{MAPS}/a%2Fb", f"{MAPS}/{'x' * 5000}", "/API/v1",
    )  # fmt: skip
    out += [Nonsense(f"path {p[:40]}", "GET", p) for p in paths]
    queries = (
        "limit=x", "continue=x", "timeoutSeconds=x", "resourceVersion=x", "labelSelector=%3D%3D%3D",
        "fieldSelector=a", "resourceVersionMatch=x", "sendInitialEvents=true",
    )  # fmt: skip
    out += [Nonsense(f"query {q}", "GET", f"{MAPS}?{q}") for q in queries]
    out += [
        Nonsense(f"query {q}", "POST", f"{MAPS}?{q}", GOOD, JSON)
        for q in ("dryRun=x", "fieldValidation=x", f"dryRun=All&fieldManager={'x' * 200}")
    ]
    out += [
        Nonsense("accept rubbish", "GET", f"{MAPS}/none", headers={"Accept": "///"}),
        Nonsense("accept HTML", "GET", f"{MAPS}/none", headers={"Accept": "text/html"}),
        Nonsense("a stranger", "GET", MAPS, headers={"Authorization": "Bearer nobody"}),
        Nonsense("a verb on a collection", "PUT", MAPS, GOOD, JSON),
        Nonsense("a verb on an object", "POST", f"{MAPS}/misuse", GOOD, JSON),
        Nonsense("apply by nobody", "PATCH", f"{MAPS}/x", GOOD, APPLY),
        Nonsense("a patch of no type", "PATCH", ROOT_CA, b"{}", JSON),
    ]
    return out


NONSENSE = (*_bodies(), *_heads())


class Got(NamedTuple):
    code: int
    status: Any  # the Status, decoded; the text of what is none

    @property
    def message(self) -> str:
        return str(self.status.get("message", "")) if isinstance(self.status, dict) else self.status


class Client:
    """Talks to the API server of a kubeconfig as its administrator."""

    def __init__(self, config: Path) -> None:
        told = yaml.safe_load(config.read_text())
        cluster, user = told["clusters"][0]["cluster"], told["users"][0]["user"]
        data = cluster.get("certificate-authority-data")
        authority = b64decode(data).decode() if data else Path(cluster["certificate-authority"]).read_text()
        self.context = ssl.create_default_context(cadata=authority)
        self.url = cluster["server"]
        self.port = int(self.url.rpartition(":")[2])
        self.token = str(user["token"])
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(ssl=self.context, limit=0)
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "misuse"}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def send(self, asked: Nonsense) -> Got:
        assert self._session is not None
        headers = {**({"Content-Type": asked.type} if asked.type else {}), **asked.headers}
        url = URL(self.url + asked.path, encoded=True)
        async with self._session.request(
            asked.method, url, data=asked.body or None, headers=headers, skip_auto_headers=("Content-Type",)
        ) as answer:
            text = (await answer.read()).decode("utf-8", "replace")
            try:
                return Got(answer.status, json.loads(text))
            except ValueError:
                return Got(answer.status, text)

    async def make(self, path: str, body: Any) -> Got:
        return await self.send(Nonsense("", "POST", path, json.dumps(body).encode(), JSON))


class Neighbour:
    """Another client at work meanwhile: writes a ConfigMap, reads it, deletes it, again and again."""

    def __init__(self, client: Client, ns: str = "default") -> None:
        self._client, self._maps = client, f"/api/v1/namespaces/{ns}/configmaps"
        self.rounds = 0
        self.refused: list[Got] = []
        self._task = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while True:
            name = f"neighbour-{self.rounds}"
            await self._expect(201, await self._client.make(self._maps, {"metadata": {"name": name}}))
            await self._expect(200, await self._client.send(Nonsense("", "GET", f"{self._maps}/{name}")))
            await self._expect(200, await self._client.send(Nonsense("", "DELETE", f"{self._maps}/{name}")))
            self.rounds += 1

    async def _expect(self, code: int, got: Got) -> None:
        if got.code != code:
            self.refused.append(got)

    async def undisturbed(self, rounds: int = 20) -> None:
        """Lets it do so many rounds more, and sees that all it asked was granted."""
        wanted = self.rounds + rounds
        while self.rounds < wanted:
            assert not self._task.done(), self._task
            await asyncio.sleep(0.01)
        assert not self.refused

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
