"""The controller that moves annotated Deployments in batches: what it looks at, and how its status is kept.

What is decided is core/deployment_engine.py.
"""

from __future__ import annotations

from datetime import datetime

from kruise_rollouts.api.annotations import ExtraStatus, encode
from kruise_rollouts.api.keys import DEPLOYMENT_EXTRA_STATUS, DEPLOYMENT_STRATEGY
from kruise_rollouts.core.deployment_engine import (
    DeploymentSnapshot,
    asks_for_pods,
    decide,
    is_driven,
    stored_status,
)
from kruise_rollouts.kube.effects import Decision, Patch, Write
from kruise_rollouts.operator.world import BY_OWNER, World
from kruise_rollouts.runtime.controller import Key


class DeploymentEngine:
    """Implements runtime.controller.Controller; keys are namespace and name of a Deployment."""

    name = "deployment"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: ExtraStatus | None
    ) -> DeploymentSnapshot | None:
        deployment = world.deployments.get(*key)
        if deployment is None or not is_driven(deployment):
            return None
        replica_sets = tuple(world.replica_sets.by(BY_OWNER, deployment.metadata.uid))
        status = stored_status(deployment) if pending is None else pending
        seen = DeploymentSnapshot(now, deployment, replica_sets, status)
        if not asks_for_pods(seen):
            return seen
        pods = await world.list_pods(key[0], deployment.spec.selector)
        return DeploymentSnapshot(now, deployment, replica_sets, status, pods)

    def decide(self, seen: DeploymentSnapshot) -> Decision[ExtraStatus]:
        return decide(seen)

    def persist(self, seen: DeploymentSnapshot, status: ExtraStatus) -> Write | None:
        """The annotation by itself, where no other write has carried it."""
        if DEPLOYMENT_STRATEGY not in seen.deployment.metadata.annotations:
            return None
        if status == stored_status(seen.deployment):
            return None
        return Patch(seen.ref, {"metadata": {"annotations": {DEPLOYMENT_EXTRA_STATUS: encode(status)}}})
