"""v1: the parts of Pods that are read."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.objects import Meta


class PodCondition(Struct, frozen=True, rename="camel", omit_defaults=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Waiting(Struct, frozen=True, rename="camel", omit_defaults=True):
    reason: str = ""  # CrashLoopBackOff, ImagePullBackOff, ...


class Terminated(Struct, frozen=True, rename="camel", omit_defaults=True):
    reason: str = ""
    exit_code: int = 0


class ContainerState(Struct, frozen=True, rename="camel", omit_defaults=True):
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    ready: bool = False
    state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    node_name: str = ""


class PodStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    phase: str = ""  # Pending, Running, Succeeded, Failed, Unknown
    reason: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[PodCondition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()

    def condition(self, type_: str) -> PodCondition | None:
        return next((c for c in self.conditions if c.type == type_), None)


class Pod(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def ready_since(self) -> datetime | None:
        """When the pod became Ready; None while it is not."""
        found = self.status.condition("Ready")
        return found.last_transition_time if found is not None and found.status == "True" else None

    @property
    def is_ready(self) -> bool:
        found = self.status.condition("Ready")
        return found is not None and found.status == "True"

    @property
    def is_terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None
