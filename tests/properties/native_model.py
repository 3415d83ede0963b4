"""The Deployment and ReplicaSet controllers of Kubernetes and the pods they make, as a small pure machine.

Made from what those controllers are documented and seen to do, not from our sandbox; a property that holds on both
says more. One Deployment, its objects as JSON; time is a number of seconds; readiness is up to whoever drives it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.api.core import Pod
from kruise_rollouts.kube.effects import JsonObject, Patch, Write
from kruise_rollouts.kube.errors import Conflict
from kruise_rollouts.kube.objects import Meta
from kruise_rollouts.kube.patch import json_patch, merge_patch, on_basis

START = datetime(2026, 1, 1, tzinfo=UTC)
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
REVISION = "deployment.kubernetes.io/revision"


T = TypeVar("T")


def read(obj: JsonObject, of: type[T]) -> T:
    """`obj` as it is when it comes over the wire: a pod template stays text."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=of)


def template(version: int) -> JsonObject:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": f"web:{version}"}]}}


@dataclass
class SimPod:
    name: str
    owner: str  # name of a ReplicaSet
    ready_since: float | None = None


@dataclass
class Native:
    """Call `sync` and `sync_replica_sets` in any order; each is one round of the controller of that name."""

    deployment: dict[str, Any]
    replica_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, SimPod] = field(default_factory=dict)
    now: float = 0.0
    version: int = 1
    made: int = 0

    # --- the API server --------------------------------------------------------------------------------------------

    def apply(self, write: Write) -> None:
        """Raises Conflict if the write names another resourceVersion or another generation."""
        assert isinstance(write, Patch), write
        live = self.deployment if write.ref.kind == "Deployment" else self.replica_sets[write.ref.name]
        if write.resource_version and write.resource_version != live["metadata"]["resourceVersion"]:
            raise Conflict(f"{write.ref} has changed")
        if write.basis is None:
            self.change(live, write.body)
            return
        if write.basis != read(live["metadata"], Meta).basis:
            raise Conflict(f"{write.ref} has changed")
        self._store(live, json_patch(live, on_basis(write.body, write.basis)))

    def change(self, live: dict[str, Any], body: JsonObject) -> None:
        self._store(live, merge_patch(live, body))

    def _store(self, live: dict[str, Any], new: dict[str, Any]) -> None:
        """`new` shares with `live` what has not changed."""
        if new == live:
            return
        spec_changed = new["spec"] != live["spec"]
        # Of a Deployment the API server counts annotations as well.
        noted = new.get("kind") == "Deployment" and new["metadata"].get("annotations") != live[
            "metadata"
        ].get("annotations")
        new = {**new, "metadata": {**new["metadata"]}}
        if new.get("kind") == "Deployment":
            strategy = new["spec"]["strategy"]
            new["spec"] = {**new["spec"], "strategy": copy.deepcopy(strategy)}
            self._validate(new["spec"])
        live.clear()
        live.update(new)
        if spec_changed or noted:
            live["metadata"]["generation"] += 1
        self._touch(live)

    def _validate(self, spec: dict[str, Any]) -> None:
        if spec.get("progressDeadlineSeconds") is None:
            spec["progressDeadlineSeconds"] = 600
        assert spec["progressDeadlineSeconds"] > spec.get("minReadySeconds", 0), "422: deadline"
        strategy = spec["strategy"]
        if strategy["type"] == "Recreate":
            assert not strategy.pop("rollingUpdate", None), "422: Recreate takes no rollingUpdate"
            return
        numbers = strategy.setdefault("rollingUpdate", {}) or {}
        for key in ("maxSurge", "maxUnavailable"):
            if numbers.get(key) is None:
                numbers[key] = "25%"
        strategy["rollingUpdate"] = numbers
        zero = [n in (0, "0%") for n in (numbers["maxSurge"], numbers["maxUnavailable"])]
        assert not all(zero), "422: maxSurge and maxUnavailable are both 0"
        unavailable = numbers["maxUnavailable"]
        assert isinstance(unavailable, int) or int(unavailable[:-1]) <= 100, "422: more than 100%"

    def _touch(self, live: dict[str, Any]) -> None:
        self.version += 1
        live["metadata"]["resourceVersion"] = str(self.version)

    # --- what others see -------------------------------------------------------------------------------------------

    @property
    def clock(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def seen_deployment(self) -> Deployment:
        return read(self.deployment, Deployment)

    def seen_replica_sets(self) -> tuple[ReplicaSet, ...]:
        return tuple(read(r, ReplicaSet) for r in self.replica_sets.values())

    def seen_pods(self) -> tuple[Pod, ...]:
        return tuple(self._pod(p) for p in self.pods.values())

    def _pod(self, pod: SimPod) -> Pod:
        owner = self.replica_sets[pod.owner]["metadata"]
        conditions: list[JsonObject] = []
        if pod.ready_since is not None:
            since = (START + timedelta(seconds=pod.ready_since)).isoformat()
            conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": since})
        meta = {
            "name": pod.name,
            "labels": owner["labels"],
            "ownerReferences": [{"uid": owner["uid"], "controller": True}],
        }
        return msgspec.convert({"metadata": meta, "status": {"conditions": conditions}}, Pod)

    # --- numbers ---------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.deployment["spec"]
        return found

    @property
    def wanted(self) -> int:
        return int(self.spec["replicas"])

    def new(self) -> dict[str, Any] | None:
        same = (
            r
            for r in self.replica_sets.values()
            if _image(r["spec"]["template"]) == _image(self.spec["template"])
        )
        return next(same, None)

    def old(self) -> list[dict[str, Any]]:
        new = self.new()
        return [r for r in self.replica_sets.values() if r is not new]

    def pods_of(self, name: str) -> list[SimPod]:
        return [p for p in self.pods.values() if p.owner == name]

    def surge(self) -> int:
        return self._fence()[0]

    def _fence(self) -> tuple[int, int]:
        numbers = self.spec["strategy"].get("rollingUpdate") or {}
        surge = _scaled(numbers.get("maxSurge", 0), self.wanted, math.ceil)
        unavailable = _scaled(numbers.get("maxUnavailable", 0), self.wanted, math.floor)
        return (0, 1) if surge == unavailable == 0 else (surge, min(unavailable, self.wanted))

    # --- the Deployment controller ---------------------------------------------------------------------------------

    def sync(self) -> None:
        """One round, and the status."""
        self._follow_min_ready()
        if self.spec["paused"] or self.is_scaling():
            self._scale()
        elif self.spec["strategy"]["type"] == "Recreate":
            self._recreate()
        else:
            self._roll()
        self._report()

    def _follow_min_ready(self) -> None:
        new = self.new()
        if new is not None and new["spec"].get("minReadySeconds", 0) != self.spec["minReadySeconds"]:
            self.change(new, {"spec": {"minReadySeconds": self.spec["minReadySeconds"]}})

    def is_scaling(self) -> bool:
        noted = [
            r["metadata"]["annotations"].get(DESIRED)
            for r in self.replica_sets.values()
            if r["spec"]["replicas"]
        ]
        return any(n is not None and n != str(self.wanted) for n in noted)

    def _resize(self, replica_set: dict[str, Any], pods: int) -> None:
        notes = {DESIRED: str(self.wanted), MAX: str(self.wanted + self.surge())}
        self.change(replica_set, {"metadata": {"annotations": notes}, "spec": {"replicas": max(0, pods)}})

    def _scale(self) -> None:
        active = [r for r in self.replica_sets.values() if r["spec"]["replicas"] > 0]
        new = self.new()
        if len(active) <= 1:
            only = active[0] if active else new or (self.old()[-1] if self.old() else None)
            if only is not None and only["spec"]["replicas"] != self.wanted:
                self._resize(only, self.wanted)
            return
        if new is not None and self._is_saturated(new):
            for old in self.old():
                if old["spec"]["replicas"]:
                    self._resize(old, 0)
            return
        if self.spec["strategy"]["type"] == "RollingUpdate":
            self._spread(active)

    def _is_saturated(self, new: dict[str, Any]) -> bool:
        noted = new["metadata"]["annotations"].get(DESIRED) == str(self.wanted)
        available = new["status"].get("availableReplicas", 0)
        return bool(noted and new["spec"]["replicas"] == self.wanted == available)

    def _spread(self, active: list[dict[str, Any]]) -> None:
        allowed = self.wanted + self.surge() if self.wanted else 0
        left = to_add = allowed - sum(r["spec"]["replicas"] for r in active)
        newest_first = list(reversed(active)) if to_add > 0 else active
        order = sorted(newest_first, key=lambda r: -r["spec"]["replicas"])
        sizes = []
        for replica_set in order:
            share = self._share(replica_set)
            part = min(share, left) if to_add > 0 else max(share, left)
            part = part if left else 0
            sizes.append(replica_set["spec"]["replicas"] + part)
            left -= part
        sizes[0] += left
        for replica_set, size in zip(order, sizes, strict=True):
            self._resize(replica_set, size)

    def _share(self, replica_set: dict[str, Any]) -> int:
        size = replica_set["spec"]["replicas"]
        if self.wanted == 0:
            return -size
        before = int(replica_set["metadata"]["annotations"].get(MAX, 0)) or self.deployment["status"].get(
            "replicas", 0
        )
        return math.floor(size * (self.wanted + self.surge()) / before + 0.5) - size if before else 0

    def _recreate(self) -> None:
        old = [r for r in self.old() if r["spec"]["replicas"] > 0]
        for replica_set in old:
            self._resize(replica_set, 0)
        if not old and not any(self.pods_of(r["metadata"]["name"]) for r in self.old()):
            new = self.new() or self._make(0)
            self._resize(new, self.wanted)

    def _roll(self) -> None:
        surge, unavailable = self._fence()
        new = self.new() or self._make(0)
        existing = sum(r["spec"]["replicas"] for r in self.replica_sets.values())
        size = new["spec"]["replicas"]
        if size > self.wanted:
            return self._resize(new, self.wanted)
        room = self.wanted + surge - existing
        if size < self.wanted and room > 0:
            return self._resize(new, size + min(room, self.wanted - size))
        self._take_old(new, existing, unavailable)
        return None

    def _take_old(self, new: dict[str, Any], existing: int, unavailable: int) -> None:
        floor = self.wanted - unavailable
        missing = new["spec"]["replicas"] - new["status"].get("availableReplicas", 0)
        quota = existing - floor - missing
        if quota <= 0:
            return
        for old in self.old():  # unhealthy pods, oldest ReplicaSet first
            unhealthy = min(quota, old["spec"]["replicas"] - old["status"].get("availableReplicas", 0))
            if unhealthy > 0:
                quota -= unhealthy
                self._resize(old, old["spec"]["replicas"] - unhealthy)
        spare = sum(r["status"].get("availableReplicas", 0) for r in self.replica_sets.values()) - floor
        for old in self.old():  # then healthy ones
            taken = min(spare, old["spec"]["replicas"])
            if taken > 0:
                spare -= taken
                self._resize(old, old["spec"]["replicas"] - taken)

    def _make(self, pods: int) -> dict[str, Any]:
        self.made += 1
        hash_ = f"h{self.made}"
        pod_template = copy.deepcopy(self.spec["template"])
        pod_template["metadata"]["labels"]["pod-template-hash"] = hash_
        self.replica_sets[f"web-{hash_}"] = made = {
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"web-{hash_}",
                "namespace": "demo",
                "uid": f"uid-{hash_}",
                "generation": 1,
                "creationTimestamp": (START + timedelta(seconds=self.made)).isoformat(),
                "labels": {"app": "web", "pod-template-hash": hash_},
                "annotations": {REVISION: str(self.made)},
                "ownerReferences": [{"uid": self.deployment["metadata"]["uid"], "controller": True}],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": self.spec["minReadySeconds"],
                "template": pod_template,
            },
            "status": {},
        }
        self._touch(made)
        if pods:
            self._resize(made, pods)
        return made

    def _report(self) -> None:
        sets = [r["status"] for r in self.replica_sets.values()]
        new = self.new()
        status = {
            "observedGeneration": self.deployment["metadata"]["generation"],
            "replicas": sum(s.get("replicas", 0) for s in sets),
            "readyReplicas": sum(s.get("readyReplicas", 0) for s in sets),
            "availableReplicas": sum(s.get("availableReplicas", 0) for s in sets),
            "updatedReplicas": new["status"].get("replicas", 0) if new else 0,
        }
        if status != self.deployment["status"]:
            self.deployment["status"] = status
            self._touch(self.deployment)

    # --- the ReplicaSet controller, and pods -----------------------------------------------------------------------

    def sync_replica_sets(self) -> None:
        for name, replica_set in self.replica_sets.items():
            have, want = self.pods_of(name), replica_set["spec"]["replicas"]
            for _ in range(want - len(have)):
                self.made += 1
                pod = SimPod(f"{name}-{self.made}", name)
                self.pods[pod.name] = pod
            leaving = sorted(have, key=lambda p: (p.ready_since is not None, -(p.ready_since or 0.0)))
            for pod in leaving[: max(0, len(have) - want)]:
                del self.pods[pod.name]
            self._report_set(replica_set)

    def _report_set(self, replica_set: dict[str, Any]) -> None:
        pods = self.pods_of(replica_set["metadata"]["name"])
        seconds = replica_set["spec"].get("minReadySeconds", 0)
        status = {
            "observedGeneration": replica_set["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(p.ready_since is not None for p in pods),
            "availableReplicas": self.available(pods, seconds),
        }
        if status != replica_set["status"]:
            replica_set["status"] = status
            self._touch(replica_set)

    def available(self, pods: list[SimPod], seconds: float) -> int:
        return sum(p.ready_since is not None and p.ready_since + seconds <= self.now for p in pods)


def native(
    replicas: int,
    surge: int | str,
    unavailable: int | str,
    *,
    min_ready: int = 0,
    kind: str = "RollingUpdate",
) -> Native:
    """A Deployment of `replicas` pods of version 1, all ready for long."""
    strategy: JsonObject = {"type": kind}
    if kind == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxSurge": surge, "maxUnavailable": unavailable}
    world = Native(
        {
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "namespace": "demo",
                "uid": "uid-web",
                "generation": 1,
                "resourceVersion": "1",
                "labels": {},
                "annotations": {},
            },
            "spec": {
                "replicas": replicas,
                "paused": False,
                "minReadySeconds": min_ready,
                "progressDeadlineSeconds": 600,
                "strategy": strategy,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template(1),
            },
            "status": {},
        }
    )
    world.sync()
    world.sync_replica_sets()
    for pod in world.pods.values():
        pod.ready_since = 0.0
    world.now = float(min_ready)
    world.sync_replica_sets()
    world.sync()
    return world


def _image(pod_template: JsonObject) -> str:
    return str(pod_template["spec"]["containers"][0]["image"])


def _scaled(value: int | str, total: int, rounding: Any) -> int:
    return value if isinstance(value, int) else int(rounding(int(value[:-1]) * total / 100))
