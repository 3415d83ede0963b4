"""Where stories about workloads are played: the sandbox on a virtual clock, or the API server KUBECONFIG names.

A story acts (create, patch, delete) and says at which numbers the world comes to rest. It never learns where it plays.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

from real_server import RealServer

from kruise_rollouts.kube.errors import NotFound
from kruise_rollouts.kube.objects import DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, Kind
from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.nodes.stages import Knobs
from kruise_rollouts.sandbox.request import Options
from kruise_rollouts.sandbox.sandbox import Sandbox

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
_serial = itertools.count(1)


class Place(Protocol):
    """One namespace of one API server."""

    async def create(self, kind: Kind, obj: Object) -> Object: ...
    async def patch(self, kind: Kind, name: str, body: Object, subresource: str = "") -> Object: ...
    async def delete(
        self, kind: Kind, name: str, propagation: str = "", grace: int | None = None
    ) -> None: ...
    async def find(self, kind: Kind, name: str) -> Object | None: ...
    async def list(self, kind: Kind) -> list[Object]: ...
    async def wait(self, seconds: float) -> None: ...
    async def until(self, look: Callable[[], Awaitable[Any]], wanted: Any, seconds: float) -> Any: ...


class SandboxPlace:
    def __init__(self, sandbox: Sandbox, clock: LoopClock) -> None:
        self.sandbox, self.server, self.clock, self.ns = sandbox, sandbox.server, clock, "default"

    def _resource(self, kind: Kind) -> Any:
        group, _, version = kind.api_version.rpartition("/")
        return self.server.registry.find(group, version, kind.plural)

    def _ns(self, kind: Kind) -> str:
        return self.ns if kind.namespaced else ""

    async def create(self, kind: Kind, obj: Object) -> Object:
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        return await self.server.call("create", self._resource(kind), self._ns(kind), "", body)

    async def patch(self, kind: Kind, name: str, body: Object, subresource: str = "") -> Object:
        return await self.server.call(
            "patch", self._resource(kind), self._ns(kind), name, body, subresource=subresource
        )

    async def delete(self, kind: Kind, name: str, propagation: str = "", grace: int | None = None) -> None:
        options = Options(propagation=propagation, grace_period_seconds=grace)
        await self.server.call("delete", self._resource(kind), self._ns(kind), name, options=options)

    async def find(self, kind: Kind, name: str) -> Object | None:
        try:
            return await self.server.call("get", self._resource(kind), self._ns(kind), name)
        except NotFound:
            return None

    async def list(self, kind: Kind) -> list[Object]:
        answer = await self.server.call("list", self._resource(kind), self._ns(kind), "")
        return list(answer["items"])

    async def wait(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    async def until(self, look: Callable[[], Awaitable[Any]], wanted: Any, seconds: float) -> Any:
        await self.clock.sleep(seconds)
        return await look()


class ClusterPlace:
    def __init__(self, api: RealServer, ns: str) -> None:
        self.api, self.ns = api, ns

    def _call(self, method: str, path: str, body: Any = None, **more: Any) -> Object:
        code, answer = self.api.call(method, path, body, **more)
        if code == 404:
            raise NotFound(answer["message"])
        assert code < 300, answer
        return answer

    def _ns(self, kind: Kind) -> str:
        return self.ns if kind.namespaced else ""

    async def create(self, kind: Kind, obj: Object) -> Object:
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        return self._call("POST", kind.path(self._ns(kind)), body)

    async def patch(self, kind: Kind, name: str, body: Object, subresource: str = "") -> Object:
        return self._call("PATCH", kind.path(self._ns(kind), name, subresource), body, content_type=MERGE)

    async def delete(self, kind: Kind, name: str, propagation: str = "", grace: int | None = None) -> None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation:
            options["propagationPolicy"] = propagation
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        self._call("DELETE", kind.path(self._ns(kind), name), options)

    async def find(self, kind: Kind, name: str) -> Object | None:
        try:
            return self._call("GET", kind.path(self._ns(kind), name))
        except NotFound:
            return None

    async def list(self, kind: Kind) -> list[Object]:
        return list(self._call("GET", kind.path(self._ns(kind)))["items"])

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, look: Callable[[], Awaitable[Any]], wanted: Any, seconds: float) -> Any:
        """What `look` gives once it is `wanted` and stays so; else what it gives after `seconds`."""
        same = 0
        for _ in range(int(seconds / 0.25)):
            seen = await look()
            same = same + 1 if seen == wanted else 0
            if same >= 8:
                return seen
            await asyncio.sleep(0.25)
        return await look()


class Play:
    """What a story does and sees, wherever it is played."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def deploy(self, name: str = "web", replicas: int = 10, image: str = "v1", **spec: Any) -> None:
        await self.place.create(DEPLOYMENT, a_deployment(name, replicas, image, **spec))

    async def patch(self, name: str = "web", **spec: Any) -> None:
        await self.place.patch(DEPLOYMENT, name, {"spec": spec})

    async def image(self, image: str, name: str = "web", **spec: Any) -> None:
        """A new template, and whatever else, in one write."""
        template = {"spec": {"containers": [{"name": "main", "image": image_of(image)}]}}
        await self.patch(name, template=template, **spec)

    async def hold(self, unavailable: int = 1, **spec: Any) -> None:
        """The engine's hold: paused, and nothing a scaling branch could add."""
        await self.patch(
            paused=True,
            minReadySeconds=0,
            progressDeadlineSeconds=600,
            strategy=bounds(0, unavailable),
            **spec,
        )

    async def move(self, surge: int, unavailable: int, **spec: Any) -> None:
        """The engine's move: new pods start, and none of them ever counts as available."""
        await self.patch(
            paused=False,
            minReadySeconds=2147483646,
            progressDeadlineSeconds=2147483647,
            strategy=bounds(surge, unavailable),
            **spec,
        )

    async def rests(
        self,
        sets: dict[str, int],
        counts: tuple[int, int, int],
        *,
        seconds: float = 40,
        ready: int | None = None,
        pods: int | None = None,
    ) -> None:
        """The ReplicaSets (by image) come to these sizes, and status to (replicas, availableReplicas, updatedReplicas)."""

        async def look() -> Any:
            found: Counter[str] = Counter()
            for rs in await self.sets():
                found[image_tag(rs)] += rs["spec"]["replicas"]
            status = (await self.deployment())["status"]
            seen = tuple(status.get(k, 0) for k in ("replicas", "availableReplicas", "updatedReplicas"))
            alive = [p for p in await self.place.list(POD) if not p["metadata"].get("deletionTimestamp")]
            return {k: v for k, v in found.items() if v}, seen, len(alive), status.get("readyReplicas", 0)

        total = sum(sets.values()) if pods is None else pods
        wanted = (sets, counts, total, counts[0] if ready is None else ready)
        seen = await self.place.until(look, wanted, seconds)
        assert seen == wanted, f"{seen}, not {wanted}"

    async def deployment(self, name: str = "web") -> Object:
        found = await self.place.find(DEPLOYMENT, name)
        assert found is not None
        return found

    async def sets(self) -> list[Object]:
        return await self.place.list(REPLICA_SET)

    async def set_of(self, image: str) -> Object:
        return next(rs for rs in await self.sets() if image_tag(rs) == image)

    async def conditions(self, name: str = "web") -> dict[str, tuple[str, str]]:
        """type -> (status, reason)"""
        status = (await self.deployment(name))["status"]
        return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def image_of(tag: str) -> str:
    return tag if ":" in tag else f"app:{tag}"


def image_tag(rs: Object) -> str:
    image: str = rs["spec"]["template"]["spec"]["containers"][0]["image"]
    return image.removeprefix("app:")


def bounds(surge: int | str, unavailable: int | str) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def a_deployment(name: str = "web", replicas: int = 10, image: str = "v1", **spec: Any) -> Object:
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": bounds(3, 2),
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": image_of(image)}]},
            },
            **spec,
        },
    }


Story = Callable[[Play], Awaitable[None]]


def play_in_sandbox(story: Story, knobs: Knobs | None = None) -> datetime:
    """Plays `story` on a fresh sandbox; the virtual time at its end."""

    async def main() -> datetime:
        clock = LoopClock()
        sandbox = Sandbox(clock, knobs=knobs)
        await sandbox.start()
        await story(Play(SandboxPlace(sandbox, clock)))
        await sandbox.stop()
        assert sandbox.runner.bugs == 0
        return clock.now()

    return run_virtual(main())


def play_on_cluster(story: Story) -> None:
    """Plays `story` in a namespace of its own on the API server KUBECONFIG names."""

    async def main() -> None:
        with RealServer() as api:
            ns = f"story-{os.getpid()}-{next(_serial)}"
            place = ClusterPlace(api, ns)
            await place.create(NAMESPACE, {"metadata": {"name": ns}})
            try:
                for _ in range(100):  # the default ServiceAccount comes a moment later
                    if api.call("GET", f"/api/v1/namespaces/{ns}/serviceaccounts/default")[0] == 200:
                        break
                    await asyncio.sleep(0.1)
                await story(Play(place))
            finally:
                await place.delete(NAMESPACE, ns)

    asyncio.run(main())
