"""Which adapter fits which workload, and the objects it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.api.apps import LabelSelector
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.rollouts_v1beta1 import ObjectRef
from kruise_rollouts.core.workloads import Workload
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.operator.world import BY_OWNER, World


class Found(Struct, frozen=True):
    workload: Workload | None  # None: there is none of that name, or it is being deleted
    supported: bool  # False: no adapter for its kind
    selector: LabelSelector | None = None  # of its pods


Find: TypeAlias = Callable[[World, str, str], Found]  # namespace, name


def find_workload(world: World, ns: str, ref: ObjectRef) -> Found:
    """The workload that `ref` names, as an adapter."""
    find = ADAPTERS.get((ref.group, ref.kind))
    return Found(None, supported=False) if find is None else find(world, ns, ref.name)


async def pods_of(world: World, ns: str, found: Found) -> tuple[Pod, ...]:
    """The pods its selector matches; those of other owners among them."""
    return () if found.selector is None else await world.list_pods(ns, found.selector)


def _deployment(world: World, ns: str, name: str) -> Found:
    deployment = world.deployments.get(ns, name)
    if deployment is None or deployment.metadata.deletion_timestamp is not None:
        return Found(None, supported=True)
    replica_sets = tuple(world.replica_sets.by(BY_OWNER, deployment.metadata.uid))
    return Found(PartitionedDeployment(deployment, replica_sets), True, deployment.spec.selector)


ADAPTERS: dict[tuple[str, str], Find] = {("apps", "Deployment"): _deployment}
