"""rollouts.kruise.io/v1alpha1: RolloutHistory and TrafficRouting, and the older Rollout and BatchRelease.

The controllers read Rollout and BatchRelease as v1beta1; the older shapes exist for validation, conversion and
schemas. Types that did not change between the versions are those of rollouts_v1beta1.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.kube.objects import Meta

from .int_or_percent import IntOrPercent
from .rollouts_v1beta1 import (
    BatchStatus,
    BlueGreenStatus,
    CanaryStatus,
    Condition,
    HeaderFilter,
    ObjectRef,
    Pause,
    PodTemplateMetadataPatch,
    ReleasePlan,
    TrafficRoutingRef,
    ValueMatch,
)


class ObjectRefs(Struct, frozen=True, rename="camel", omit_defaults=True):
    workload_ref: ObjectRef | None = None  # None passes the schema, not validation


class HeaderRouteMatch(Struct, frozen=True, rename="camel", omit_defaults=True):
    headers: tuple[ValueMatch, ...] = ()


class Step(Struct, frozen=True, rename="camel", omit_defaults=True):
    weight: int | None = None  # percent of requests, 1..100
    request_header_modifier: HeaderFilter | None = None
    matches: tuple[HeaderRouteMatch, ...] | None = None  # None: absent; () counts as given
    replicas: IntOrPercent | None = None  # None: `weight` percent of the pods
    pause: Pause = msgspec.field(default_factory=Pause)


class CanaryStrategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    steps: tuple[Step, ...] = ()
    traffic_routings: tuple[TrafficRoutingRef, ...] = ()
    failure_threshold: IntOrPercent | None = None
    patch_pod_template_metadata: PodTemplateMetadataPatch | None = None
    disable_generate_canary_service: bool = False


class Strategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    paused: bool = False
    canary: CanaryStrategy | None = None


class RolloutSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    object_ref: ObjectRefs = msgspec.field(default_factory=ObjectRefs)
    strategy: Strategy = msgspec.field(default_factory=Strategy)
    rollout_id: str = msgspec.field(default="", name="rolloutID")  # deprecated, without effect
    disabled: bool = False


class RolloutStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Has the fields that were new in v1beta1 too: a status must not be lost, nor live in an annotation."""

    observed_generation: int = 0
    canary_status: CanaryStatus | None = None
    blue_green_status: BlueGreenStatus | None = None
    conditions: tuple[Condition, ...] = ()
    phase: str = ""
    message: str = ""
    current_step_index: int = 0
    current_step_state: str = ""


class Rollout(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: RolloutSpec = msgspec.field(default_factory=RolloutSpec)
    status: RolloutStatus = msgspec.field(default_factory=RolloutStatus)


class BatchReleaseSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    target_reference: ObjectRefs = msgspec.field(default_factory=ObjectRefs)
    release_plan: ReleasePlan = msgspec.field(default_factory=ReleasePlan)


class BatchReleaseStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    conditions: tuple[Condition, ...] = ()
    canary_status: BatchStatus = msgspec.field(default_factory=BatchStatus)
    stable_revision: str = ""
    update_revision: str = ""
    observed_generation: int = 0
    observed_rollout_id: str = msgspec.field(default="", name="observedRolloutID")
    observed_workload_replicas: int = 0
    collision_count: int | None = None
    observed_release_plan_hash: str = ""
    phase: str = ""
    message: str = ""  # new in v1beta1; see RolloutStatus


class BatchRelease(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: BatchReleaseSpec = msgspec.field(default_factory=BatchReleaseSpec)
    status: BatchReleaseStatus = msgspec.field(default_factory=BatchReleaseStatus)


class TrafficMatch(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where requests go while a TrafficRouting is in use."""

    weight: int | None = None  # percent, 0..100
    request_header_modifier: HeaderFilter | None = None
    matches: tuple[HeaderRouteMatch, ...] = ()


class TrafficRoutingSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    object_ref: tuple[TrafficRoutingRef, ...] = ()  # required; only the first is used
    strategy: TrafficMatch = msgspec.field(default_factory=TrafficMatch)


class TrafficRoutingStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    observed_generation: int = 0
    phase: str = ""  # keys.TrafficRoutingPhase
    message: str = ""


class TrafficRouting(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: TrafficRoutingSpec = msgspec.field(default_factory=TrafficRoutingSpec)
    status: TrafficRoutingStatus = msgspec.field(default_factory=TrafficRoutingStatus)


class RolloutRecord(Struct, frozen=True, rename="camel", omit_defaults=True):
    rollout_id: str = msgspec.field(default_factory=str, name="rolloutID")
    name: str = msgspec.field(default_factory=str)
    data: Json = None  # the v1alpha1 Rollout spec


class WorkloadRecord(Struct, frozen=True, rename="camel", omit_defaults=True):
    api_version: str = ""
    kind: str = ""
    name: str = msgspec.field(default_factory=str)
    data: Json = None  # spec of the workload


class NamedRecord(Struct, frozen=True, rename="camel", omit_defaults=True):
    name: str = msgspec.field(default_factory=str)
    data: Json = None  # spec of the object


class TrafficRecord(Struct, frozen=True, rename="camel", omit_defaults=True):
    ingress: NamedRecord | None = None
    http_route: NamedRecord | None = None


class RolloutHistorySpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    rollout: RolloutRecord = msgspec.field(default_factory=RolloutRecord)
    workload: WorkloadRecord = msgspec.field(default_factory=WorkloadRecord)
    service: NamedRecord = msgspec.field(default_factory=NamedRecord)
    traffic_routing: TrafficRecord = msgspec.field(default_factory=TrafficRecord)


class HistoryPod(Struct, frozen=True, rename="camel", omit_defaults=True):
    name: str = ""
    ip: str = ""
    node_name: str = ""


class HistoryStep(Struct, frozen=True, rename="camel", omit_defaults=True):
    canary_step_index: int = 0  # 1-based
    pods: tuple[HistoryPod, ...] = ()


class RolloutHistoryStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    phase: str = ""  # "" or completed
    canary_steps: tuple[HistoryStep, ...] = ()


class RolloutHistory(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: RolloutHistorySpec = msgspec.field(default_factory=RolloutHistorySpec)
    status: RolloutHistoryStatus = msgspec.field(default_factory=RolloutHistoryStatus)
