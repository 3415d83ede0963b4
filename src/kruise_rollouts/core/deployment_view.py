"""What a decision of the engine looks at, read once: a snapshot, and the numbers that follow from it.

Nothing is decided here; that is deployment_engine.py.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from kruise_rollouts.api.annotations import (
    ExtraStatus,
    OriginalStrategy,
    PartitionStrategy,
    parse_extra_status,
    parse_partition_strategy,
)
from kruise_rollouts.api.apps import Deployment, ReplicaSet, RollingUpdate
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.int_or_percent import scaled
from kruise_rollouts.api.keys import (
    DEPLOYMENT_EXTRA_STATUS,
    DEPLOYMENT_STRATEGY,
    DESIRED_REPLICAS,
    MAX_READY_SECONDS,
)
from kruise_rollouts.kube.effects import Ref
from kruise_rollouts.kube.objects import DEPLOYMENT

from .plan import Slack, slack, updated_limit
from .revision import Revisions, revisions_of
from .settings import original_of, own_rolling_update

_STYLES = ("", "partition")  # rollingStyle in any case


class DeploymentSnapshot(Struct, frozen=True):
    """Everything a decision may look at."""

    now: datetime
    deployment: Deployment
    replica_sets: tuple[ReplicaSet, ...]  # that it controls, at least
    status: ExtraStatus  # the stored one, or the one decided so far
    pods: tuple[Pod, ...] | None = None  # that its selector matches; None: asks_for_pods said no

    @property
    def ref(self) -> Ref:
        return DEPLOYMENT.ref(self.deployment.metadata.namespace, self.deployment.metadata.name)


def stored_status(deployment: Deployment) -> ExtraStatus:
    """What the annotation says; garbage reads as nothing."""
    return parse_extra_status(deployment.metadata.annotations.get(DEPLOYMENT_EXTRA_STATUS)) or ExtraStatus()


def is_driven(deployment: Deployment) -> bool:
    """True if somebody, once, asked for this Deployment to be moved in batches."""
    return not deployment.metadata.annotations.keys().isdisjoint(
        (DEPLOYMENT_STRATEGY, DEPLOYMENT_EXTRA_STATUS)
    )


class View(Struct, frozen=True):
    """A snapshot read: what there is and what is wanted. Numbers are pods."""

    seen: DeploymentSnapshot
    strategy: PartitionStrategy
    original: OriginalStrategy
    own: RollingUpdate  # the person's numbers
    allowed: Slack
    problem: str  # why the numbers cannot be followed; "" if they can
    revisions: Revisions

    @property
    def deployment(self) -> Deployment:
        return self.seen.deployment

    @property
    def sets(self) -> tuple[ReplicaSet, ...]:
        new = self.revisions.new
        return self.revisions.old if new is None else (*self.revisions.old, new)

    @property
    def total(self) -> int:
        return self.deployment.replicas

    @property
    def existing(self) -> int:
        return self.revisions.new_pods + self.revisions.old_pods

    @property
    def ready(self) -> int:
        """New pods that are ready, however shortly."""
        return 0 if self.revisions.new is None else self.revisions.new.status.ready_replicas

    @property
    def limit(self) -> int:
        return updated_limit(self.strategy.partition, self.total)

    @property
    def is_scaling(self) -> bool:
        """The Deployment controller has yet to spread a change of replicas over the ReplicaSets."""
        noted = {r.metadata.annotations.get(DESIRED_REPLICAS) for r in self.sets if r.replicas > 0} - {None}
        return self.existing != self.total and bool(noted - {str(self.total)})


def strategy_of(deployment: Deployment) -> PartitionStrategy | None:
    return parse_partition_strategy(deployment.metadata.annotations.get(DEPLOYMENT_STRATEGY))


def look(seen: DeploymentSnapshot, strategy: PartitionStrategy) -> View:
    # The annotation first: a person's settings may have been recorded there since `status` was decided.
    original = original_of(seen.deployment, stored_status(seen.deployment).original or seen.status.original)
    own = own_rolling_update(strategy, original)
    allowed = slack(own.max_surge, own.max_unavailable, seen.deployment.replicas)
    problem = ""
    if allowed is None:
        problem = f"maxSurge {own.max_surge!r} and maxUnavailable {own.max_unavailable!r} are not both pods or percentages"
    elif scaled(strategy.partition, 1, up=True) is None:
        problem = f"partition {strategy.partition!r} is neither pods nor a percentage"
    return View(
        seen,
        strategy,
        original,
        own if allowed is not None else RollingUpdate(),
        allowed or Slack(surge=0, unavailable=1),
        problem,
        revisions_of(seen.deployment, seen.replica_sets),
    )


def is_settled(deployment: Deployment) -> bool:
    """Its controller has seen this generation."""
    return deployment.status.observed_generation >= deployment.metadata.generation


def moves_pods(strategy: PartitionStrategy) -> bool:
    """Whether the annotation moves pods: other styles leave that to whoever wrote it."""
    return strategy.rolling_style.lower() in _STYLES


def awaits_recount(old: ReplicaSet) -> bool:
    """Its mark was just taken off, and its controller has yet to count its ready pods as available again."""
    status = old.status
    return (
        old.spec.min_ready_seconds != MAX_READY_SECONDS
        and status.observed_generation < old.metadata.generation
        and status.available_replicas < min(status.ready_replicas, old.replicas)
    )


def available_pods(replica_set: ReplicaSet, seconds: int) -> int:
    """Pods known to have been ready for `seconds`, the person's own minReadySeconds.

    While the engine has its own number there in a move, nobody counts them: 0 until it has come to rest.
    """
    status = replica_set.status
    if seconds == 0:
        return status.ready_replicas
    counted = status.observed_generation >= replica_set.metadata.generation
    return status.available_replicas if counted and replica_set.spec.min_ready_seconds == seconds else 0
