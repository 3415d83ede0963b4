"""The controller that moves annotated Deployments in batches: what it looks at, and how its status is kept.

What is decided is core/deployment_engine.py.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from kruise_rollouts.api.annotations import ExtraStatus, encode
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.keys import DEPLOYMENT_EXTRA_STATUS, DEPLOYMENT_STRATEGY
from kruise_rollouts.core.deployment_engine import asks_for_pods, decide
from kruise_rollouts.core.deployment_view import DeploymentSnapshot, is_driven, stored_status
from kruise_rollouts.kube.effects import Decision, Patch, Write
from kruise_rollouts.operator.world import BY_OWNER, World
from kruise_rollouts.runtime.controller import Key


class DeploymentEngine:
    """Implements runtime.controller.Controller; keys are namespace and name of a Deployment."""

    name = "deployment"

    def __init__(self) -> None:
        self._listed: dict[Key, tuple[tuple[str, ...], tuple[Pod, ...]]] = {}

    async def observe(
        self, key: Key, world: World, now: datetime, pending: ExtraStatus | None
    ) -> DeploymentSnapshot | None:
        deployment = world.deployments.get(*key)
        if deployment is None or not is_driven(deployment):
            self._listed.pop(key, None)
            return None
        replica_sets = tuple(world.replica_sets.by(BY_OWNER, deployment.metadata.uid))
        status = stored_status(deployment) if pending is None else pending
        seen = DeploymentSnapshot(now, deployment, replica_sets, status)
        if not asks_for_pods(seen):
            self._listed.pop(key, None)
            return seen
        return replace(seen, pods=await self._pods(key, world, seen))

    async def _pods(self, key: Key, world: World, seen: DeploymentSnapshot) -> tuple[Pod, ...]:
        """Listed anew when a ReplicaSet has changed: none of its pods becomes ready, or stops, without that."""
        versions = tuple(r.metadata.resource_version for r in seen.replica_sets)
        listed = self._listed.get(key)
        if listed is None or listed[0] != versions:
            listed = versions, await world.list_pods(key[0], seen.deployment.spec.selector)
            self._listed[key] = listed
        return listed[1]

    def decide(self, seen: DeploymentSnapshot) -> Decision[ExtraStatus]:
        return decide(seen)

    def persist(self, seen: DeploymentSnapshot, status: ExtraStatus) -> Write | None:
        """The annotation by itself, where no other write has carried it."""
        if DEPLOYMENT_STRATEGY not in seen.deployment.metadata.annotations and status.original is None:
            return None  # given back
        stored = stored_status(seen.deployment)
        # It holds the person's settings too: what was recorded meanwhile stays.
        status = replace(status, original=stored.original or status.original)
        if status == stored:
            return None
        body = {"metadata": {"annotations": {DEPLOYMENT_EXTRA_STATUS: encode(status)}}}
        return Patch(seen.ref, body, basis=seen.deployment.metadata.basis)
