"""Tasks: what must be true around the steps of a release, each with what is missing until it is.

Which tasks a moment asks for, and in which order, is a Strategy's business.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kruise_rollouts.api.keys import ConditionType, FinalizingPolicy, ReleasePhase
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease
from kruise_rollouts.core.marks import give_back
from kruise_rollouts.core.snapshot import Reason, RolloutSnapshot, Task
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.kube.effects import Delete, Patch, Write


class Todo(Struct, frozen=True):
    """What a task still lacks: writes to make, or something to wait for."""

    waits_for: str  # for people
    writes: tuple[Write, ...] = ()


def todo(task: Task, seen: RolloutSnapshot, reason: Reason) -> Todo | None:
    """What `task` still lacks; None when it holds."""
    return _TASKS[task](seen, reason)


def _resume_workload(seen: RolloutSnapshot, reason: Reason) -> Todo | None:
    release = seen.own_release
    if release is not None and release.status.phase != ReleasePhase.COMPLETED:
        return Todo("the BatchRelease to let go of the workload", _finish(seen, release, reason))
    if seen.workload is None:
        return None
    # Somebody took the BatchRelease away before it had given the workload back.
    state = seen.workload.state
    if is_ours(seen):
        keep_paused = seen.gates.keep_workload_paused_on_rollout_deletion and reason is Reason.DELETED
        writes = give_back(seen.workload, Ending.PAUSED if keep_paused else Ending.RESUMED)
        if writes is None or writes:
            return Todo("the workload to be given back", writes or ())
    if reason is Reason.SUCCESS and not (state.settled and state.is_complete):
        return Todo(f"pods of the new revision: {state.updated_ready} of {state.replicas} are ready")
    return None


def is_ours(seen: RolloutSnapshot) -> bool:
    """A release of ours stands on the workload. A pause alone may be the person's own."""
    if seen.workload is None:
        return False
    state = seen.workload.state
    condition = seen.status.condition(ConditionType.PROGRESSING)
    begun = condition is not None and condition.status == "True"
    return state.is_in_progress or (begun and state.is_held)


def _finish(seen: RolloutSnapshot, release: BatchRelease, reason: Reason) -> tuple[Write, ...]:
    if release.metadata.deletion_timestamp is not None:
        return ()
    policy = FinalizingPolicy.WAIT_RESUME if reason is Reason.SUCCESS else FinalizingPolicy.IMMEDIATE
    plan = release.spec.release_plan
    if plan.batch_partition is None and plan.finalizing_policy == policy:
        return ()
    body = {"spec": {"releasePlan": {"batchPartition": None, "finalizingPolicy": str(policy)}}}
    return (Patch(seen.release_ref, body),)


def _release_control(seen: RolloutSnapshot, reason: Reason) -> Todo | None:
    release = seen.own_release
    if release is None:
        return None
    going = release.metadata.deletion_timestamp is not None
    if going and release.status.phase == ReleasePhase.COMPLETED and reason is not Reason.CONTINUOUS:
        return None  # it is gone in a moment, and nothing but another release needs its name
    writes = () if going else (Delete(seen.release_ref, uid=release.metadata.uid),)
    return Todo("the BatchRelease to be gone", writes)


def _no_traffic(_: RolloutSnapshot, __: Reason) -> Todo | None:
    # A Rollout with trafficRoutings is not started at all: see problems.py.
    return None


_TASKS: dict[Task, Callable[[RolloutSnapshot, Reason], Todo | None]] = {
    Task.PIN_STABLE_SERVICE: _no_traffic,
    Task.ROUTE_TO_NEW: _no_traffic,
    Task.ROUTE_TO_STABLE: _no_traffic,
    Task.RESTORE_STABLE_SERVICE: _no_traffic,
    Task.REMOVE_CANARY_SERVICE: _no_traffic,
    Task.RESUME_WORKLOAD: _resume_workload,
    Task.RELEASE_CONTROL: _release_control,
}
