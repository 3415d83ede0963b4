"""What a release may know of a workload and ask of it; one adapter file per kind and style.

An adapter is a frozen value made of observed objects: reading it costs nothing, and what it is asked for comes back
as the writes that are missing. Which adapter fits which object is the operator's business; adapters do not know
each other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from kruise_rollouts.api.int_or_percent import IntOrPercent
from kruise_rollouts.kube.effects import Ref, Write
from kruise_rollouts.kube.objects import OwnerReference


class WorkloadState(Struct, frozen=True):
    """One workload as seen. Numbers are pods."""

    ref: Ref
    uid: str
    generation: int
    settled: bool  # its own controller has seen this generation; the numbers below belong to it
    replicas: int  # wanted
    total: int  # existing, of every revision
    ready: int  # of every revision
    updated: int  # of the update revision
    updated_ready: int  # of the update revision, 0..updated
    updated_available: int  # of those, ready for as long as the person's own minReadySeconds ask
    stable_revision: str  # pod-template-hash or controller-revision-hash; "" unknown
    update_revision: str  # opaque: our hash of the template; compare it only with itself
    pod_template_hash: str  # label of the pods of the update revision; "" until there is a revision object
    is_rollback: bool  # the template is again that of stable_revision, while other pods exist
    is_in_progress: bool  # admission marked a release
    is_held: bool  # something of ours is still on it: release() has work to do
    is_complete: bool  # every wanted pod is of the update revision and available, and no other exists
    claimed_by: str  # uid of the BatchRelease that moves it; "" nobody
    rollout_id: str  # a person's name for this release, label or annotation; "" none
    trouble: str = ""  # why its own controller cannot make pods (a quota, a refused admission); "" nothing
    hides_pods: bool = False  # in a move, pods that serve may not count as available; once stopped, all do
    pods_owner: str = ""  # uid of what controls the pods of the update revision; "" while there is none


class Ending(StrEnum):
    """How a workload is let go of."""

    RESUMED = "Resumed"  # the person's own settings, moving freely
    PAUSED = "Paused"  # the person's own settings, standing still
    HANDED_OVER = "HandedOver"  # as it is; the next BatchRelease claims it
    SUCCEEDED = "Succeeded"  # the same, and the next release sets out from what this one brought


class Workload(Protocol):
    """What a release asks of any kind. Writes are missing ones: () means "already so"."""

    @property
    def state(self) -> WorkloadState: ...

    def adopt(self) -> tuple[Write, ...]:
        """Labels it as a workload that admission looks at; the label stays for good."""
        ...

    def hold(self, rollout: str, stable: str = "") -> tuple[Write, ...]:
        """Stops it and marks it in progress for the Rollout named `rollout`, as admission would have done.

        `stable`: the revision that the release set out from, in WorkloadState's words; "" to find it among the pods.

        For a new revision that got past admission, and for marks that a tool has dropped. Capacity does not change.
        """
        ...

    def planned(self, batch: IntOrPercent) -> int:
        """Pods of the update revision that a batch of this size stands for, 0..replicas."""
        ...

    def claim(self, owner: OwnerReference, batch: IntOrPercent) -> tuple[Write, ...]:
        """Makes the BatchRelease `owner` the one that moves its pods, and lets it begin with `batch`."""
        ...

    def advance(self, batch: IntOrPercent) -> tuple[Write, ...]:
        """Lets at least `planned(batch)` pods be of the update revision; never takes any back."""
        ...

    def stop(self) -> tuple[Write, ...]:
        """Lets none of its pods move until the next batch, or until it is let go of."""
        ...

    def release(self, ending: Ending) -> tuple[Write, ...]:
        """Takes everything of ours off it, in one write."""
        ...
