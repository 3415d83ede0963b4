"""A person at a keyboard, for the demo: each act is a kubectl command and the request that kubectl would send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import DEPLOYMENT, POD, ROLLOUT
from kruise_rollouts.kube.protocols import Api
from kruise_rollouts.views.rollout import RolloutView, WorkloadView, rollout_view, workload_view

NS = "default"
NAME = "busybox"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Picture(msgspec.Struct, frozen=True):
    """What there is to see at one moment."""

    rollout: RolloutView | None
    workload: WorkloadView | None
    pods: dict[str, int]  # pods that are not going away, by VERSION
    ready: int


class Person:
    """Types commands against `api`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def look(self) -> Picture:
        rollouts = await self._list(ROLLOUT.path(NS))
        deployments = await self._list(DEPLOYMENT.path(NS))
        pods = [p for p in await self._list(POD.path(NS)) if not p["metadata"].get("deletionTimestamp")]
        return Picture(
            rollout_view(rollouts[0]) if rollouts else None,
            workload_view(deployments[0]) if deployments else None,
            dict(Counter(version_of(p) for p in pods)),
            sum(_is_ready(p) for p in pods),
        )

    async def apply(self, obj: JsonObject) -> None:
        kind = {"Deployment": DEPLOYMENT, "Rollout": ROLLOUT}[obj["kind"]]
        params = {"fieldManager": "kubectl", "force": "true"}
        await self._send("PATCH", kind.path(NS, NAME), obj, APPLY, params)

    async def set_version(self, version: str) -> None:
        await self._send("PATCH", DEPLOYMENT.path(NS, NAME), version_patch(version), STRATEGIC)

    async def approve(self) -> None:
        body = {"status": {"canaryStatus": {"currentStepState": "StepReady"}}}
        await self._send("PATCH", ROLLOUT.path(NS, NAME, "status"), body, MERGE)

    async def _list(self, path: str) -> list[JsonObject]:
        items: list[JsonObject] = msgspec.json.decode(await self._api.request("GET", path))["items"]
        return items

    async def _send(
        self,
        method: str,
        path: str,
        body: JsonObject,
        content_type: str,
        params: dict[str, str] | None = None,
    ) -> None:
        await self._api.request(
            method, path, params=params, body=msgspec.json.encode(body), content_type=content_type
        )


def version_of(pod: JsonObject) -> str:
    env = pod["spec"]["containers"][0].get("env") or ()
    return next((str(e.get("value", "")) for e in env if e["name"] == "VERSION"), "")


def _is_ready(pod: JsonObject) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ()
    )


def version_patch(version: str) -> JsonObject:
    container = {"name": NAME, "env": [{"name": "VERSION", "value": version}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def busybox(version: str) -> JsonObject:
    """The walk-through's Deployment: ten pods."""
    container = {
        "name": NAME,
        "image": "busybox:1.36",
        "command": ["sleep", "3600"],
        "env": [{"name": "VERSION", "value": version}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 10,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": {"containers": [container]}},
        },
    }


def rollout() -> JsonObject:
    """The walk-through's Rollout: 1 pod until approved, 50 % for a minute, all."""
    steps: list[JsonObject] = [
        {"replicas": 1, "pause": {}},
        {"replicas": "50%", "pause": {"duration": 60}},
        {"replicas": "100%"},
    ]
    return {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "Rollout",
        "metadata": {"name": NAME},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "strategy": {"canary": {"steps": steps}},
        },
    }


Expect = Callable[[Picture], bool]


def split(**pods: int) -> Expect:
    """Exactly these pods, by version ("v2=9" for version-2), all of them ready."""
    wanted = {f"version-{k.removeprefix('v')}": n for k, n in pods.items()}
    return lambda seen: seen.pods == wanted and seen.ready == sum(wanted.values())


def paused(step: int, **pods: int) -> Expect:
    """The Rollout waits at `step` with these pods."""
    there = split(**pods)
    return lambda seen: (
        there(seen)
        and seen.rollout is not None
        and (seen.rollout.step, seen.rollout.state) == (step, "StepPaused")
    )


def healthy(**pods: int) -> Expect:
    """The release is over, with these pods."""
    there = split(**pods)
    return lambda seen: there(seen) and seen.rollout is not None and seen.rollout.phase == "Healthy"
