"""rollouts.kruise.io/v1beta1: Rollout and BatchRelease.

Field order is the order of the published API: api/hashes.py encodes these Structs and depends on it. Fields that
the schema requires are always encoded, even empty (`_text`, `_number`), and read leniently. Times are datetimes (UTC);
None: never. Conversion, validation and schemas live elsewhere.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.objects import Meta

from .int_or_percent import IntOrPercent, parse_percent
from .keys import ConditionType

DEFAULT_GRACE_SECONDS = 3


def _text(name: str | None = None) -> str:
    """A string that is encoded even when empty: a default_factory is not a value that omit_defaults compares."""
    made: str = msgspec.field(default_factory=str, name=name)
    return made


def _number(name: str | None = None) -> int:
    """A number that is encoded even when 0."""
    made: int = msgspec.field(default_factory=int, name=name)
    return made


def _no_batches() -> tuple[ReleaseBatch, ...]:
    """Not `tuple` itself, which omit_defaults would leave out."""
    return ()


class Style(StrEnum):
    """How new pods come to be. A strategy is resolved to one of these once, at the edge."""

    PARTITION = "Partition"
    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"


class ObjectRef(Struct, frozen=True, rename="camel"):
    """Names an object in the namespace of the one that refers to it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""

    @property
    def group(self) -> str:
        """API group without the version; "" for the core group."""
        return self.api_version.rpartition("/")[0]


class IngressTrafficRouting(Struct, frozen=True, rename="camel", omit_defaults=True):
    class_type: str = ""  # "": nginx
    name: str = _text()


class GatewayTrafficRouting(Struct, frozen=True, rename="camel", omit_defaults=True):
    http_route_name: str | None = None


class TrafficRoutingRef(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What carries the traffic of the workload."""

    service: str = _text()
    grace_period_seconds: int | None = None  # None: not yet defaulted by the API server
    ingress: IngressTrafficRouting | None = None
    gateway: GatewayTrafficRouting | None = None
    custom_network_refs: tuple[ObjectRef, ...] = ()

    @property
    def grace_seconds(self) -> int:
        """Seconds between two changes of traffic; 0 is respected."""
        return DEFAULT_GRACE_SECONDS if self.grace_period_seconds is None else self.grace_period_seconds


class PodTemplateMetadataPatch(Struct, frozen=True, rename="camel", omit_defaults=True):
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}


class Header(Struct, frozen=True):
    name: str = ""
    value: str = ""


class HeaderFilter(Struct, frozen=True, rename="camel", omit_defaults=True):
    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


class ValueMatch(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One header or query parameter that a request must carry."""

    type: str | None = None  # Exact, RegularExpression; None: not yet defaulted (Exact)
    name: str = _text()
    value: str = _text()


class PathMatch(Struct, frozen=True, rename="camel", omit_defaults=True):
    type: str | None = None  # Exact, PathPrefix, RegularExpression; None: PathPrefix
    value: str | None = None  # None: "/"


class HttpRouteMatch(Struct, frozen=True, rename="camel", omit_defaults=True):
    """All that are present must hold (AND)."""

    path: PathMatch | None = None
    headers: tuple[ValueMatch, ...] = ()
    query_params: tuple[ValueMatch, ...] = ()


class Pause(Struct, frozen=True, rename="camel", omit_defaults=True):
    duration: int | None = None  # seconds; None: until a person approves


class Step(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One step of a release."""

    traffic: str | None = None  # percentage of requests for the new version, e.g. "5%"
    request_header_modifier: HeaderFilter | None = None
    matches: tuple[HttpRouteMatch, ...] = ()  # any may hold (OR); wins over traffic
    replicas: IntOrPercent | None = None  # new pods after this step; None only in objects never validated
    pause: Pause = msgspec.field(default_factory=Pause)

    @property
    def traffic_percent(self) -> int | None:
        """`traffic` as a number; None if absent or malformed."""
        return None if self.traffic is None else parse_percent(self.traffic)

    @property
    def has_traffic(self) -> bool:
        return self.traffic is not None or bool(self.matches)


class CanaryStrategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Partition style, or canary style if enable_extra_workload_for_canary (see style_of)."""

    steps: tuple[Step, ...] = ()
    traffic_routings: tuple[TrafficRoutingRef, ...] = ()
    failure_threshold: IntOrPercent | None = None  # updated pods that may be unready; None: none
    patch_pod_template_metadata: PodTemplateMetadataPatch | None = None
    enable_extra_workload_for_canary: bool = False
    traffic_routing_ref: str = ""  # name of a TrafficRouting
    disable_generate_canary_service: bool = False


class BlueGreenStrategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    steps: tuple[Step, ...] = ()
    traffic_routings: tuple[TrafficRoutingRef, ...] = ()
    failure_threshold: IntOrPercent | None = None
    traffic_routing_ref: str = ""
    disable_generate_canary_service: bool = False


class Strategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    paused: bool = False
    canary: CanaryStrategy | None = None
    blue_green: BlueGreenStrategy | None = None

    @property
    def active(self) -> CanaryStrategy | BlueGreenStrategy | None:
        """The strategy in use; None for an empty release, which does nothing."""
        return self.blue_green if self.blue_green is not None else self.canary

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.active.steps if self.active is not None else ()

    @property
    def traffic_routings(self) -> tuple[TrafficRoutingRef, ...]:
        return self.active.traffic_routings if self.active is not None else ()


class RolloutSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    workload_ref: ObjectRef = msgspec.field(default_factory=ObjectRef)
    strategy: Strategy = msgspec.field(default_factory=Strategy)
    disabled: bool = False


def style_of(spec: RolloutSpec) -> Style | None:
    """How `spec` releases; None if it has no strategy.

    An extra canary Deployment is possible for a native Deployment only: any other workload is partitioned.
    """
    if spec.strategy.blue_green is not None:
        return Style.BLUE_GREEN
    if spec.strategy.canary is None:
        return None
    native = spec.workload_ref.api_version == "apps/v1" and spec.workload_ref.kind == "Deployment"
    if spec.strategy.canary.enable_extra_workload_for_canary and native:
        return Style.CANARY
    return Style.PARTITION


class Condition(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A condition of a Rollout or a BatchRelease."""

    type: str = _text()
    status: str = _text()  # True, False, Unknown
    last_update_time: datetime | None = None
    last_transition_time: datetime | None = None
    reason: str = _text()
    message: str = _text()


class StepStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What canaryStatus and blueGreenStatus have in common; only the wire names of `updated_*` differ."""

    observed_workload_generation: int = 0
    observed_rollout_id: str = msgspec.field(default="", name="observedRolloutID")
    rollout_hash: str = ""
    stable_revision: str = ""
    pod_template_hash: str = _text()
    current_step_index: int = 0  # 1-based; 0: none
    next_step_index: int = _number()  # -1: none; people write it to jump
    current_step_state: str = _text()  # keys.StepState; people write it to approve
    message: str = ""
    last_update_time: datetime | None = None
    finalising_step: str = _text()  # keys.FinalisingStep
    updated_revision: str = _text()
    updated_replicas: int = _number()
    updated_ready_replicas: int = _number()


class CanaryStatus(StepStatus, frozen=True, rename="camel", omit_defaults=True):
    updated_revision: str = _text("canaryRevision")
    updated_replicas: int = _number("canaryReplicas")
    updated_ready_replicas: int = _number("canaryReadyReplicas")


class BlueGreenStatus(StepStatus, frozen=True, rename="camel", omit_defaults=True):
    pass


class RolloutStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    observed_generation: int = 0
    canary_status: CanaryStatus | None = None
    blue_green_status: BlueGreenStatus | None = None
    conditions: tuple[Condition, ...] = ()
    phase: str = ""  # keys.RolloutPhase
    message: str = ""
    current_step_index: int = _number()  # mirror of the sub-status, for people and printer columns
    current_step_state: str = _text()  # mirror

    @property
    def active(self) -> CanaryStatus | BlueGreenStatus | None:
        """The sub-status in use."""
        return self.blue_green_status if self.blue_green_status is not None else self.canary_status

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)

    @property
    def taken_back_to(self) -> str:
        """The revision that the last release was taken back to; "" if it was not."""
        sub, outcome = self.active, self.condition(ConditionType.SUCCEEDED)
        if sub is None or outcome is None or outcome.status != "False":
            return ""
        return sub.updated_revision


class Rollout(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: RolloutSpec = msgspec.field(default_factory=RolloutSpec)
    status: RolloutStatus = msgspec.field(default_factory=RolloutStatus)

    @property
    def seniority(self) -> tuple[str, str]:
        """Of the Rollouts that refer to one workload, the first by this releases it."""
        return (self.metadata.creation_timestamp or "", self.metadata.name)


class ReleaseBatch(Struct, frozen=True, rename="camel"):
    canary_replicas: IntOrPercent = 0


class ReleasePlan(Struct, frozen=True, rename="camel", omit_defaults=True):
    batches: tuple[ReleaseBatch, ...] = msgspec.field(default_factory=_no_batches)
    batch_partition: int | None = None  # 0-based: batches up to it may run; None: no limit, finish
    rollout_id: str = msgspec.field(default="", name="rolloutID")
    failure_threshold: IntOrPercent | None = None
    finalizing_policy: str = ""  # keys.FinalizingPolicy; "" means Immediate
    patch_pod_template_metadata: PodTemplateMetadataPatch | None = None
    rolling_style: str = ""  # a Style, or "" (see release_style)
    enable_extra_workload_for_canary: bool = msgspec.field(default_factory=bool)


def release_style(plan: ReleasePlan) -> Style | None:
    """The style of a BatchRelease, in whatever case; None if there is none of that name.

    An empty one falls back to the older flag: that is all that older tools write.
    """
    if not plan.rolling_style:
        return Style.CANARY if plan.enable_extra_workload_for_canary else Style.PARTITION
    return next((s for s in Style if s.lower() == plan.rolling_style.lower()), None)


class BatchReleaseSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    workload_ref: ObjectRef = msgspec.field(default_factory=ObjectRef)
    release_plan: ReleasePlan = msgspec.field(default_factory=ReleasePlan)


class BatchStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    """status.canaryStatus of a BatchRelease, whatever its style."""

    batch_state: str = msgspec.field(default="", name="batchState")  # keys.BatchState
    current_batch: int = _number()  # 0-based
    batch_ready_time: datetime | None = None
    updated_replicas: int = 0
    updated_ready_replicas: int = 0
    no_need_update_replicas: int | None = None  # rollback in batches only


class BatchReleaseStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    conditions: tuple[Condition, ...] = ()
    canary_status: BatchStatus = msgspec.field(default_factory=BatchStatus)
    stable_revision: str = ""
    update_revision: str = ""
    observed_generation: int = 0
    observed_rollout_id: str = msgspec.field(default="", name="observedRolloutID")
    observed_workload_replicas: int = 0  # pods; -1: not yet observed
    collision_count: int | None = None
    observed_release_plan_hash: str = ""
    phase: str = ""  # keys.ReleasePhase
    message: str = ""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)


class BatchRelease(Struct, frozen=True, rename="camel"):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: BatchReleaseSpec = msgspec.field(default_factory=BatchReleaseSpec)
    status: BatchReleaseStatus = msgspec.field(default_factory=BatchReleaseStatus)
