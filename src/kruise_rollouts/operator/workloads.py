"""Which adapter fits which workload, and the objects it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.api.apps import LabelSelector
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.int_or_percent import IntOrPercent
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, ObjectRef
from kruise_rollouts.core.workloads import Ending, Workload, WorkloadState
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.effects import Write
from kruise_rollouts.kube.objects import OwnerReference
from kruise_rollouts.operator.world import BY_OWNER, World


class ReadOnce(Struct, frozen=True):
    """A Workload whose state is computed once: a decision asks for it a dozen times."""

    adapter: Workload
    state: WorkloadState

    def adopt(self) -> tuple[Write, ...]:
        return self.adapter.adopt()

    def hold(self, rollout: str, stable: str = "") -> tuple[Write, ...]:
        return self.adapter.hold(rollout, stable)

    def planned(self, batch: IntOrPercent) -> int:
        return self.adapter.planned(batch)

    def claim(self, owner: OwnerReference, batch: IntOrPercent) -> tuple[Write, ...]:
        return self.adapter.claim(owner, batch)

    def advance(self, batch: IntOrPercent) -> tuple[Write, ...]:
        return self.adapter.advance(batch)

    def stop(self) -> tuple[Write, ...]:
        return self.adapter.stop()

    def release(self, ending: Ending) -> tuple[Write, ...]:
        return self.adapter.release(ending)


class Found(Struct, frozen=True):
    workload: Workload | None  # None: there is none of that name, or it is being deleted
    supported: bool  # False: no adapter for its kind
    selector: LabelSelector | None = None  # of its pods


Find: TypeAlias = Callable[[World, str, str], Found]  # namespace, name


def find_workload(world: World, ns: str, ref: ObjectRef) -> Found:
    """The workload that `ref` names, as an adapter."""
    find = ADAPTERS.get((ref.group, ref.kind))
    return Found(None, supported=False) if find is None else find(world, ns, ref.name)


def find_release(world: World, ns: str, uid: str) -> BatchRelease | None:
    """The BatchRelease of that uid, whatever its name: a claim on a workload says no more."""
    return next((r for r in world.batch_releases.items(ns) if r.metadata.uid == uid), None)


async def pods_of(world: World, ns: str, found: Found, *, cached: bool = False) -> tuple[Pod, ...]:
    """The pods its selector matches; those of other owners among them."""
    return () if found.selector is None else await world.list_pods(ns, found.selector, cached=cached)


def _deployment(world: World, ns: str, name: str) -> Found:
    deployment = world.deployments.get(ns, name)
    if deployment is None or deployment.metadata.deletion_timestamp is not None:
        return Found(None, supported=True)
    replica_sets = tuple(world.replica_sets.by(BY_OWNER, deployment.metadata.uid))
    adapter = PartitionedDeployment(deployment, replica_sets)
    return Found(ReadOnce(adapter, adapter.state), True, deployment.spec.selector)


ADAPTERS: dict[tuple[str, str], Find] = {("apps", "Deployment"): _deployment}
