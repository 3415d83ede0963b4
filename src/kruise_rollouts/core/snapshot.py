"""What decisions about Rollouts and BatchReleases look at, frozen, and the words they are made of.

Styles, tasks and reasons are named here; what they do is in strategies/, tasks.py and finalise.py. Gathering the
objects is the operator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.rollouts_v1beta1 import (
    BatchRelease,
    BlueGreenStatus,
    CanaryStatus,
    Rollout,
    RolloutStatus,
    Step,
    Style,
)
from kruise_rollouts.core.workloads import Workload
from kruise_rollouts.kube.effects import Ref
from kruise_rollouts.kube.objects import BATCH_RELEASE, ROLLOUT

SubStatus: TypeAlias = CanaryStatus | BlueGreenStatus
StatusT = TypeVar("StatusT")


class Draft(Struct, Generic[StatusT], frozen=True):
    """A status on its way: what was stored when deciding began, and what is decided so far.

    A decision belongs to the version it was made on: `resource_version` stays that one however often the decision
    is taken further, so that what a person wrote meanwhile makes the write fail instead of being overwritten.
    """

    stored: StatusT
    resource_version: str
    status: StatusT


class Gates(Struct, frozen=True):
    """Feature gates that a decision asks for; all off by default."""

    rollout_history: bool = False
    keep_workload_paused_on_rollout_deletion: bool = False


class Task(StrEnum):
    """One thing to make true outside the steps. Values go on the wire as finalisingStep."""

    PIN_STABLE_SERVICE = "PinStableService"
    ROUTE_TO_NEW = "FinalisingStepRouteTrafficToNew"
    ROUTE_TO_STABLE = "FinalisingStepRouteTrafficToStable"
    RESTORE_STABLE_SERVICE = "RestoreStableService"
    REMOVE_CANARY_SERVICE = "RemoveCanaryService"
    RESUME_WORKLOAD = "ResumeWorkload"
    RELEASE_CONTROL = "ReleaseWorkloadControl"


class Reason(StrEnum):
    """Why a release ends, or begins anew."""

    SUCCESS = "Success"
    ROLLBACK = "Rollback"
    CONTINUOUS = "Continuous"
    DISABLED = "RolloutDisabled"
    DELETED = "RolloutDeleting"


UNROUTE = (Task.RESTORE_STABLE_SERVICE, Task.ROUTE_TO_STABLE, Task.REMOVE_CANARY_SERVICE)
HAND_BACK = (*UNROUTE, Task.RESUME_WORKLOAD, Task.RELEASE_CONTROL)


class RolloutSnapshot(Struct, frozen=True):
    """Everything a decision about one Rollout may look at."""

    now: datetime
    rollout: Rollout  # its status is the one decided so far
    strategy: Strategy | None  # None: no style of that name is known, or the spec has none
    workload: Workload | None  # None: there is none of that name
    supported: bool = True  # False: no adapter for this kind of workload
    release: BatchRelease | None = None  # of the Rollout's own name, whoever owns it
    rival: str = ""  # an older Rollout that refers to the same workload
    is_orphaned: bool = False  # the workload is claimed by a BatchRelease that is no more
    gates: Gates = Gates()

    @property
    def ref(self) -> Ref:
        return ROLLOUT.ref(self.rollout.metadata.namespace, self.rollout.metadata.name)

    @property
    def release_ref(self) -> Ref:
        return BATCH_RELEASE.ref(self.rollout.metadata.namespace, self.rollout.metadata.name)

    @property
    def status(self) -> RolloutStatus:
        return self.rollout.status

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.rollout.spec.strategy.steps

    @property
    def sub(self) -> SubStatus:
        """The sub-status of the style; an empty one if there is none yet."""
        return self.status.active or CanaryStatus()

    @property
    def step(self) -> Step:
        """The current step. Only while currentStepIndex is one of the plan's."""
        return self.steps[self.sub.current_step_index - 1]

    @property
    def own_release(self) -> BatchRelease | None:
        """The BatchRelease that this Rollout made; None if there is none, or somebody else's has its name."""
        owner = self.release.metadata.controller if self.release is not None else None
        return self.release if owner is not None and owner.uid == self.rollout.metadata.uid else None


class Strategy(Struct, frozen=True):
    """How one rolling style differs from the others; nothing else may ask for the style."""

    style: Style
    before_upgrade: Callable[[RolloutSnapshot], tuple[Task, ...]]  # what must be true before pods change
    skips_traffic: Callable[
        [RolloutSnapshot], bool
    ]  # True: this step leaves no pods to split traffic between
    passes_last: Callable[[Step], bool]  # True: as the last step it needs no approval
    with_sub: Callable[[RolloutStatus, SubStatus | None], RolloutStatus]  # the status with that sub-status
    alone: Callable[
        [RolloutStatus], RolloutStatus
    ]  # the status itself, or without another style's sub-status
    refuses_new_revision: str  # "": a new revision restarts the steps; else what the person is told
    finalising: Mapping[Reason, tuple[Task, ...]]


class BatchSnapshot(Struct, frozen=True):
    """Everything a decision about one BatchRelease may look at."""

    now: datetime
    release: BatchRelease  # its status is the one decided so far
    workload: Workload | None  # None: there is none of that name
    supported: bool = True  # False: no adapter for this kind of workload or this style
    # False: the Rollout that owns it is gone, going or disabled: it lets go of the workload
    owner_goes_on: bool = True
    rival: str = ""  # another living BatchRelease that moves the same workload
    pods: tuple[Pod, ...] | None = None  # of the workload; None: needs.py did not ask for them
    gates: Gates = Gates()

    @property
    def ref(self) -> Ref:
        return BATCH_RELEASE.ref(self.release.metadata.namespace, self.release.metadata.name)
