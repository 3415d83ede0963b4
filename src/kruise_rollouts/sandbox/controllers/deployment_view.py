"""A Deployment and its ReplicaSets as numbers: what the Deployment controller calculates with.

Reading only; the decisions are in deployment.py, the status in deployment_status.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject, Ref
from kruise_rollouts.kube.objects import DEPLOYMENT, REPLICA_SET

from . import facts
from .templates import same_template
from .world import Refusal

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
DEFAULT_HISTORY_LIMIT = 10
DEFAULT_DEADLINE = 600  # seconds


class DeploymentSeen(Struct, frozen=True):
    deployment: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    replica_sets: tuple[JsonObject, ...]  # of the namespace: owned by this Deployment, or by nobody
    taken: frozenset[str]  # names of ReplicaSets somebody else owns
    running: frozenset[
        str
    ]  # uids of the owned ReplicaSets that have unfinished pods, terminating ones included
    refusal: Refusal | None  # of the last attempt to create a ReplicaSet
    now: datetime


class Rs(Struct, frozen=True):
    """One ReplicaSet. Counts are pods."""

    obj: JsonObject
    size: int  # spec.replicas
    actual: int  # status.replicas
    ready: int
    available: int

    @property
    def name(self) -> str:
        return facts.name(self.obj)

    @property
    def uid(self) -> str:
        return facts.uid(self.obj)

    @property
    def ref(self) -> Ref:
        return facts.ref_of(REPLICA_SET, self.obj)

    @property
    def annotations(self) -> dict[str, str]:
        return facts.annotations_of(self.obj)

    @property
    def revision(self) -> int:
        """0 if it has none."""
        text = self.annotations.get(REVISION, "")
        return int(text) if text.isdigit() else 0

    @property
    def born(self) -> tuple[datetime, str]:
        """Sorts by age, oldest first."""
        return (facts.created(self.obj), self.name)

    @property
    def lags(self) -> bool:
        """Its status is older than its spec."""
        observed = facts.int_of(facts.status(self.obj), "observedGeneration")
        return facts.int_of(facts.meta(self.obj), "generation") > observed

    def annotated(self, key: str) -> int | None:
        """A count kept in an annotation; None if it is absent or not one."""
        text = self.annotations.get(key, "")
        return int(text) if text.isdigit() and int(text) <= facts.MAX_INT32 else None

    def sized(self, size: int) -> Rs:
        return msgspec.structs.replace(self, size=size)


def rs_from(obj: JsonObject) -> Rs:
    status = facts.status(obj)
    return Rs(
        obj=obj,
        size=facts.int_of(facts.spec(obj), "replicas", 1),
        actual=facts.int_of(status, "replicas"),
        ready=facts.int_of(status, "readyReplicas"),
        available=facts.int_of(status, "availableReplicas"),
    )


class Dep(Struct, frozen=True):
    """The Deployment: its wishes, and its fenceposts resolved against `replicas`."""

    obj: JsonObject
    replicas: int
    paused: bool
    rolling: bool  # False: Recreate
    surge: int  # pods above `replicas`, 0 unless rolling
    unavailable: int  # pods below `replicas`, 0 unless rolling
    min_ready_seconds: int
    deadline: int | None  # seconds; None: progress is not judged
    history_limit: int | None  # None: keep all

    @property
    def name(self) -> str:
        return facts.name(self.obj)

    @property
    def ref(self) -> Ref:
        return facts.ref_of(DEPLOYMENT, self.obj)

    @property
    def template(self) -> JsonObject:
        found: JsonObject = facts.spec(self.obj)["template"]
        return found

    @property
    def generation(self) -> int:
        return facts.int_of(facts.meta(self.obj), "generation")

    @property
    def min_available(self) -> int:
        return self.replicas - self.unavailable


def dep_from(obj: JsonObject) -> Dep:
    spec = facts.spec(obj)
    replicas = facts.int_of(spec, "replicas", 1)
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("type", "RollingUpdate") == "RollingUpdate"
    bounds = strategy.get("rollingUpdate") or {}
    surge, unavailable = fenceposts(bounds.get("maxSurge"), bounds.get("maxUnavailable"), replicas)
    deadline = facts.int_of(spec, "progressDeadlineSeconds", DEFAULT_DEADLINE)
    history = facts.int_of(spec, "revisionHistoryLimit", DEFAULT_HISTORY_LIMIT)
    return Dep(
        obj=obj,
        replicas=replicas,
        paused=bool(spec.get("paused")),
        rolling=rolling,
        surge=surge if rolling else 0,
        unavailable=min(unavailable, replicas) if rolling else 0,
        min_ready_seconds=facts.int_of(spec, "minReadySeconds"),
        deadline=None if deadline == facts.MAX_INT32 else deadline,
        history_limit=None if history == facts.MAX_INT32 else history,
    )


def fenceposts(
    max_surge: int | str | None, max_unavailable: int | str | None, replicas: int
) -> tuple[int, int]:
    """(surge, unavailable) in pods: surge rounds up, unavailable down, and both 0 means unavailable 1."""
    surge = facts.scaled(max_surge, replicas, up=True)
    unavailable = facts.scaled(max_unavailable, replicas, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def newest(template: JsonObject, sets: Iterable[Rs]) -> Rs | None:
    """The ReplicaSet made from `template` (the oldest, if by accident there are two); None if there is none."""
    for candidate in sorted(sets, key=lambda r: r.born):
        if same_template(facts.spec(candidate.obj)["template"], template):
            return candidate
    return None


def total(sets: Iterable[Rs]) -> int:
    return sum(r.size for r in sets)


def active(sets: Iterable[Rs]) -> list[Rs]:
    return [r for r in sets if r.size > 0]
