"""A server without controllers, on a virtual clock, and a client that says what it sends and shows what it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.request import SYSTEM, Request, User
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.server import Server

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"


class Answer(NamedTuple):
    code: int
    body: Any  # decoded JSON, or text
    headers: tuple[tuple[str, str], ...]

    @property
    def warnings(self) -> list[str]:
        return [v for k, v in self.headers if k == "Warning"]


class Client:
    def __init__(self, sandbox: Sandbox, user: User = SYSTEM) -> None:
        self.sandbox = sandbox
        self.server: Server = sandbox.server
        self.clock = sandbox.clock
        self._user = user

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        type: str = "application/json",
        accept: str = "application/json",
        agent: str = "tests/1",
    ) -> Answer:
        """`path` may carry a query."""
        path, _, query = path.partition("?")
        pairs = tuple((k, v) for k, _, v in (p.partition("=") for p in query.split("&")) if k)
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"accept": accept, "user-agent": agent}
        if raw:
            headers["content-type"] = type
        answer = await self.server.respond(Request(method, path, pairs, headers, raw, self._user))
        try:
            shown = json.loads(answer.body)
        except ValueError:
            shown = answer.body.decode()
        return Answer(answer.status, shown, answer.headers)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.send("GET", path, **more)

    async def post(self, path: str, body: Any, **more: Any) -> Answer:
        return await self.send("POST", path, body, **more)

    async def put(self, path: str, body: Any, **more: Any) -> Answer:
        return await self.send("PUT", path, body, **more)

    async def patch(self, path: str, body: Any, type: str = MERGE, **more: Any) -> Answer:
        return await self.send("PATCH", path, body, type=type, **more)

    async def delete(self, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send("DELETE", path, body, **more)

    async def made(self, path: str, body: Any) -> Any:
        """The object after creating it."""
        answer = await self.post(path, body)
        assert answer.code == 201, answer.body
        return answer.body

    def watch(self, path: str, accept: str = "application/json") -> Watching:
        return Watching(self, path, accept, self._user)


class Watching:
    """A watch that keeps what it has read."""

    def __init__(self, client: Client, path: str, accept: str, user: User) -> None:
        self.events: list[dict[str, Any]] = []
        self.over = False
        self._client = client
        path, _, query = path.partition("?")
        pairs = (
            ("watch", "true"),
            *((k, v) for k, _, v in (p.partition("=") for p in query.split("&")) if k),
        )
        self._request = Request("GET", path, pairs, {"accept": accept}, b"", user)
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        answer = await self._client.server.respond(self._request)
        assert answer.stream is not None, answer.body
        async for chunk in answer.stream:
            self.events += [json.loads(line) for line in chunk.splitlines()]
        self.over = True

    async def seen(self) -> list[tuple[str, str]]:
        """(type, name) of every event so far, after everything that is under way has arrived."""
        await self._client.clock.sleep(1)
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in self.events]

    def stop(self) -> None:
        self._task.cancel()


Story = Callable[[Client], Awaitable[None]]


def play(story: Story) -> None:
    """Runs `story` against a fresh server with a default namespace."""

    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=0)
        sandbox.customs.install()
        client = Client(sandbox)
        await client.made("/api/v1/namespaces", {"metadata": {"name": "default"}})
        sa = {"metadata": {"name": "default"}}
        await client.post("/api/v1/namespaces/default/serviceaccounts", sa)
        await story(client)

    run_virtual(main())


def a_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def a_deployment(name: str = "web", replicas: int = 2) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "nginx"}]},
            },
        },
    }


def a_pod(name: str = "p", node: str = "node-0", **labels: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "nginx"}], "nodeName": node}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}
