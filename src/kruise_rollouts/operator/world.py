"""What the controllers look at: one cache per kind that is watched, and pods listed when a decision needs them.

Filled by runtime informers (and by our own writes, at once); decisions are made in core/, keys are mapped in
controllers.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kruise_rollouts.api.apps import Deployment, LabelSelector, ReplicaSet
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout
from kruise_rollouts.runtime.cache import Cache


class ListPods(Protocol):
    """Lists pods of a namespace that a selector matches; terminating and foreign ones included."""

    async def __call__(self, ns: str, selector: LabelSelector, *, cached: bool = False) -> tuple[Pod, ...]:
        """Read live, or as the API server has them in its cache."""
        ...


class Refresh(Protocol):
    """Reads an object live, so that the cache has no older one."""

    async def __call__(self, ns: str, name: str) -> None: ...


BY_OWNER = "owner"  # ReplicaSets by the uid of the object that controls them
BY_WORKLOAD = "workload"  # Rollouts and BatchReleases by (namespace, group, kind, name) of their workloadRef


@dataclass(frozen=True)
class World:
    """Seen by every observe()."""

    rollouts: Cache[Rollout]
    batch_releases: Cache[BatchRelease]
    deployments: Cache[Deployment]
    replica_sets: Cache[ReplicaSet]  # index BY_OWNER
    list_pods: ListPods
    refresh_rollout: Refresh
