"""apps/v1: the parts of Deployments and ReplicaSets that are read.

Never written back: writes are patches. A pod template stays the text it came as: it is compared and hashed as a whole,
and read into objects it would be most of what a cache holds.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from kruise_rollouts.kube.objects import Meta

from .int_or_percent import IntOrPercent

NO_TEMPLATE = Raw(b"{}")


class SelectorRequirement(Struct, frozen=True, rename="camel"):
    key: str = ""
    operator: str = ""  # In, NotIn, Exists, DoesNotExist
    values: tuple[str, ...] = ()


class LabelSelector(Struct, frozen=True, rename="camel", omit_defaults=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[SelectorRequirement, ...] = ()


class RollingUpdate(Struct, frozen=True, rename="camel", omit_defaults=True):
    max_unavailable: IntOrPercent | None = None
    max_surge: IntOrPercent | None = None


class DeploymentStrategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    type: str = ""  # RollingUpdate, Recreate; "": RollingUpdate
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    replicas: int | None = None  # None: 1, until the API server defaults it
    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    template: Raw = NO_TEMPLATE
    strategy: DeploymentStrategy = msgspec.field(default_factory=DeploymentStrategy)
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None
    paused: bool = False
    progress_deadline_seconds: int | None = None


class WorkloadCondition(Struct, frozen=True, rename="camel", omit_defaults=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: datetime | None = None
    last_transition_time: datetime | None = None


class DeploymentStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    terminating_replicas: int | None = None  # None: not reported by this API server
    collision_count: int | None = None
    conditions: tuple[WorkloadCondition, ...] = ()

    def condition(self, type_: str) -> WorkloadCondition | None:
        return next((c for c in self.conditions if c.type == type_), None)


class Deployment(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)

    @property
    def replicas(self) -> int:
        """Pods wanted."""
        return 1 if self.spec.replicas is None else self.spec.replicas


class ReplicaSetSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    replicas: int | None = None  # None: 1
    min_ready_seconds: int = 0
    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    template: Raw = NO_TEMPLATE


class ReplicaSetStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    observed_generation: int = 0
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    terminating_replicas: int | None = None
    conditions: tuple[WorkloadCondition, ...] = ()


class ReplicaSet(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: ReplicaSetSpec = msgspec.field(default_factory=ReplicaSetSpec)
    status: ReplicaSetStatus = msgspec.field(default_factory=ReplicaSetStatus)

    @property
    def replicas(self) -> int:
        """Pods wanted."""
        return 1 if self.spec.replicas is None else self.spec.replicas
