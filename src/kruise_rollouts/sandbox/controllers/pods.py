"""A pod as controllers see it: decoded once per change, so that counting ten thousand of them stays cheap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

from . import facts

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


class Pod(Struct, frozen=True):
    """What a controller of pods wants to know of one."""

    name: str
    uid: str
    labels: dict[str, str]
    controller: str  # uid; "" for an orphan
    deleting: bool
    phase: str
    node: str  # "" while unassigned
    ready: bool
    ready_since: datetime | None  # None: not ready
    created: datetime
    raw: JsonObject

    @property
    def is_terminal(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def is_active(self) -> bool:
        """Counts as a replica: neither finished nor going away."""
        return not self.deleting and self.phase not in ("Succeeded", "Failed")

    @property
    def is_terminating(self) -> bool:
        return self.deleting and self.phase not in ("Succeeded", "Failed")

    def available_at(self, min_ready_seconds: int) -> datetime | None:
        """When it becomes (or became) available; None while it is not ready."""
        if self.ready_since is None:
            return None
        return (
            self.ready_since + timedelta(seconds=min_ready_seconds) if min_ready_seconds else self.ready_since
        )

    def is_available(self, min_ready_seconds: int, now: datetime) -> bool:
        since = self.ready_since
        if since is None:
            return False
        return not min_ready_seconds or since + timedelta(seconds=min_ready_seconds) <= now


def pod_from(obj: JsonObject) -> Pod:
    metadata = obj["metadata"]
    status = obj.get("status") or {}
    ready_since = None
    ready = False
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready":
            ready = condition["status"] == "True"
            if ready:
                ready_since = facts.time_at(condition.get("lastTransitionTime")) or facts.EPOCH
            break
    return Pod(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        labels=metadata.get("labels") or {},
        controller=facts.controller_uid(obj),
        deleting=metadata.get("deletionTimestamp") is not None,
        phase=status.get("phase") or "Pending",
        node=(obj.get("spec") or {}).get("nodeName") or "",
        ready=ready,
        ready_since=ready_since,
        created=facts.created(obj),
        raw=obj,
    )


def next_availability(pods: Iterable[Pod], min_ready_seconds: int, now: datetime) -> datetime | None:
    """When the next ready pod turns available; None if no ready pod is waiting for it."""
    if not min_ready_seconds:
        return None
    due = (p.available_at(min_ready_seconds) for p in pods)
    return min((t for t in due if t is not None and t > now), default=None)


def deletion_order(pods: Iterable[Pod], beside: Mapping[str, int], now: datetime) -> list[Pod]:
    """`pods`, the one to delete first in front.

    `beside`: node -> active pods of the same Deployment there; the more crowded the node, the earlier.
    Ages are compared by their logarithm, so that among pods of like age the choice looks random (by uid).
    """
    return sorted(pods, key=lambda p: _rank(p, beside, now))


def _rank(pod: Pod, beside: Mapping[str, int], now: datetime) -> tuple[object, ...]:
    return (
        bool(pod.node),
        _PHASE_RANK.get(pod.phase, 0),
        pod.ready,
        deletion_cost(pod),
        -beside.get(pod.node, 0),
        _age_rank(pod.ready_since, now),
        -restarts(pod),
        _age_rank(pod.created, now),
        pod.uid,
    )


def _age_rank(since: datetime | None, now: datetime) -> int:
    """log2 of the age in nanoseconds: younger is smaller, and pods of like age are equal."""
    if since is None:
        return -1
    age = (now - since).total_seconds() * 1e9
    return int(math.log2(age)) if age > 0 else -1


def deletion_cost(pod: Pod) -> int:
    """The user's own ranking, -2^31..2^31-1; 0 if there is none or it is unreadable."""
    text = (pod.raw["metadata"].get("annotations") or {}).get(DELETION_COST, "")
    try:
        return int(text)
    except ValueError:
        return 0


def restarts(pod: Pod) -> int:
    """Restarts of its most restarted container."""
    statuses = (pod.raw.get("status") or {}).get("containerStatuses") or ()
    return max((int(s.get("restartCount") or 0) for s in statuses), default=0)
