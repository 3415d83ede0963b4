"""A manager in this process on the API server of KUBECONFIG, everything it sends counted, and a client that watches.

The client is a process's worth of its own: it opens its own connections and learns of changes by watch, as a person's
tools do.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from bench.counting import CountingApi

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import DEPLOYMENT, NAMESPACE, POD, ROLLOUT, Kind
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import ensure, install
from kruise_rollouts.operator.installation import outside_objects
from kruise_rollouts.operator.options import Options, WebhookOptions
from kruise_rollouts.operator.webhook_configurations import target_of
from kruise_rollouts.runtime.certs import Bundle
from kruise_rollouts.runtime.certstore import CertKeeper, FolderStore
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock, cancelled
from kruise_rollouts.runtime.kubeconfig import connect
from kruise_rollouts.runtime.webhook import WebhookApp, WebhookServer


@asynccontextmanager
async def manager() -> AsyncIterator[CountingApi]:
    """A running manager with its webhooks; what it sends is counted by the CountingApi."""
    clock = WallClock()
    webhook = WebhookOptions(host="127.0.0.1", port=free_port(), bind="127.0.0.1")
    async with HttpApi(connect()) as api:
        with tempfile.TemporaryDirectory() as folder:
            target = target_of("kruise-rollout", webhook)
            await install(api, clock, outside_objects(target))

            async def trusted(bundle: Bundle) -> None:
                await ensure(api, target_of("kruise-rollout", webhook, bundle.ca_cert))

            keeper = CertKeeper(
                FolderStore(Path(folder)), clock, names=("127.0.0.1",), folder=Path(folder), on_bundle=trusted
            )
            await keeper.ensure()

            def server_of(app: WebhookApp) -> WebhookServer:
                return WebhookServer(app, keeper.tls, host="127.0.0.1", port=webhook.port)

            counting = CountingApi(api)
            assembly = Assembly(counting, clock, Options(), server_of=server_of)
            task = asyncio.create_task(assembly.manager.run())
            while not assembly.manager.ready:
                if task.done():
                    task.result()
                await asyncio.sleep(0.01)
            try:
                yield counting
            finally:
                await cancelled(task)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Client:
    """Somebody else: writes as kubectl does, and keeps what it sees of one namespace with the time it saw it."""

    def __init__(self, api: HttpApi, ns: str) -> None:
        self.api = api
        self.ns = ns
        self.seen: dict[tuple[str, str], JsonObject] = {}
        self._changed = asyncio.Event()
        self._handlers: list[Callable[[str, str, JsonObject], None]] = []

    def on_event(self, handler: Callable[[str, str, JsonObject], None]) -> None:
        """Calls `handler(type, kind, object)` as events arrive."""
        self._handlers.append(handler)

    async def watch(self, kind: Kind) -> None:
        """Follows one kind until cancelled. A watch ends when a CRD is installed anew."""
        while True:
            await self._watch_once(kind)

    async def _watch_once(self, kind: Kind) -> None:
        listed = msgspec.json.decode(await self.api.request("GET", kind.path(self.ns)))
        for obj in listed["items"]:
            self.seen[(kind.kind, obj["metadata"]["name"])] = obj
        params = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        with contextlib.suppress(ApiError):
            async for raw in self.api.watch(kind.path(self.ns), params, idle_seconds=3600):
                self._take(kind, msgspec.json.decode(raw))

    def _take(self, kind: Kind, event: JsonObject) -> None:
        obj = event["object"]
        key = (kind.kind, obj["metadata"]["name"])
        if event["type"] == "DELETED":
            self.seen.pop(key, None)
        else:
            self.seen[key] = obj
        for handler in self._handlers:
            handler(event["type"], kind.kind, obj)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> float:
        """The time (time.monotonic) at which `holds()` was seen. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic()

    def rollout(self, name: str) -> JsonObject:
        return self.seen.get(("Rollout", name), {})

    def state(self, name: str) -> tuple[str, int, str]:
        """Phase, step, step state of a Rollout."""
        status = self.rollout(name).get("status", {})
        return status.get("phase", ""), status.get("currentStepIndex", 0), status.get("currentStepState", "")

    def pods(self, version: str) -> list[JsonObject]:
        return [o for (kind, _), o in self.seen.items() if kind == "Pod" and version_of(o) == version]

    async def send(self, method: str, path: str, body: Any, content_type: str = "application/json") -> None:
        await self.api.request(method, path, body=msgspec.json.encode(body), content_type=content_type)

    async def set_version(self, name: str, version: str) -> None:
        container = {"name": "app", "env": [{"name": "VERSION", "value": version}]}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.send(
            "PATCH", DEPLOYMENT.path(self.ns, name), body, "application/strategic-merge-patch+json"
        )

    async def approve(self, name: str) -> None:
        body = {"status": {"canaryStatus": {"currentStepState": "StepReady"}}}
        await self.send("PATCH", ROLLOUT.path(self.ns, name, "status"), body, "application/merge-patch+json")


@asynccontextmanager
async def client(
    prefix: str, kinds: tuple[Kind, ...] = (POD, DEPLOYMENT, ROLLOUT), kubeconfig: str = ""
) -> AsyncIterator[Client]:
    """A client in a namespace of its own, watching `kinds`; the namespace goes with it."""
    async with HttpApi(connect(kubeconfig), user_agent="kubectl/bench") as api:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": f"{prefix}-"}}
        made = msgspec.json.decode(
            await api.request("POST", NAMESPACE.path(), body=msgspec.json.encode(body))
        )
        found = Client(api, made["metadata"]["name"])
        watches = [asyncio.create_task(found.watch(kind)) for kind in kinds]
        try:
            yield found
        finally:
            await cancelled(*watches)
            with contextlib.suppress(Exception):
                await api.request("DELETE", NAMESPACE.path("", found.ns))


def version_of(pod: JsonObject) -> str:
    env = pod["spec"]["containers"][0].get("env") or ()
    return next((str(e.get("value", "")) for e in env if e["name"] == "VERSION"), "")


def is_ready(pod: JsonObject) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ()
    )


def a_deployment(name: str, replicas: int) -> JsonObject:
    container = {"name": "app", "image": "busybox:1.36", "env": [{"name": "VERSION", "value": "v1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def a_rollout(name: str, steps: list[JsonObject]) -> JsonObject:
    return {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "strategy": {"canary": {"steps": steps}},
        },
    }
