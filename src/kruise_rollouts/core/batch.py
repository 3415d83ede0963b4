"""BatchReleases: an API of its own that moves the pods of one workload batch by batch, up to batchPartition.

A Rollout makes one for its release; people make them directly too. Which pods a batch stands for is plan.py's, how
they are moved the workload adapter's, what they are labelled podlabels.py's.

Counters and words are stored when a batch begins and ends, and every REFRESH_SECONDS between: a status write per
pod would be the largest cost of a release and tells nobody more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.hashes import release_plan_hash
from kruise_rollouts.api.keys import (
    BATCH_RELEASE_FINALIZER,
    BatchState,
    ConditionType,
    EventReason,
    FinalizingPolicy,
    ReleasePhase,
)
from kruise_rollouts.api.rollouts_v1beta1 import BatchReleaseStatus, Condition
from kruise_rollouts.core.batch_counts import (
    REFRESH_SECONDS,
    counted,
    is_enough,
    is_still_enough,
    waiting_words,
)
from kruise_rollouts.core.batch_labels import label_writes
from kruise_rollouts.core.batch_problems import problem_of
from kruise_rollouts.core.conditions import STALLED, set_condition, without
from kruise_rollouts.core.marks import give_back
from kruise_rollouts.core.outcomes import pods_of
from kruise_rollouts.core.snapshot import BatchSnapshot
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.kube.effects import Decision, Note, Patch, Write
from kruise_rollouts.kube.objects import OwnerReference

P, B = ReleasePhase, BatchState
Out: TypeAlias = Decision[BatchReleaseStatus]
Case: TypeAlias = Callable[[BatchSnapshot], Out | None]


def decide_batch(seen: BatchSnapshot) -> Out:
    """The next status of a BatchRelease and the writes that are missing now. Never raises for a state of the world."""
    out = next(out for case in CASES if (out := case(seen)) is not None)
    return replace(out, status=_observed(seen, out.status))


def _observed(seen: BatchSnapshot, status: BatchReleaseStatus) -> BatchReleaseStatus:
    plan = seen.release.spec.release_plan
    return replace(
        status,
        observed_generation=seen.release.metadata.generation,
        observed_rollout_id=plan.rollout_id,
        observed_release_plan_hash=status.observed_release_plan_hash or release_plan_hash(plan),
    )


def _stay(seen: BatchSnapshot, *writes: Write, wake_at: datetime | None = None) -> Out:
    return Decision(seen.release.status, writes, wake_at)


# Before any phase -------------------------------------------------------------------------------------------------


def _finished(seen: BatchSnapshot) -> Out | None:
    if seen.release.status.phase != P.COMPLETED:
        return None
    meta = seen.release.metadata
    if meta.deletion_timestamp is None or BATCH_RELEASE_FINALIZER not in meta.finalizers:
        return _stay(seen)
    kept = [f for f in meta.finalizers if f != BATCH_RELEASE_FINALIZER]
    return _stay(
        seen, Patch(seen.ref, {"metadata": {"finalizers": kept}}, resource_version=meta.resource_version)
    )


def _not_guarded(seen: BatchSnapshot) -> Out | None:
    meta = seen.release.metadata
    if meta.deletion_timestamp is not None or BATCH_RELEASE_FINALIZER in meta.finalizers:
        return None
    # The list must not have changed since we read it.
    body = {"metadata": {"finalizers": [*meta.finalizers, BATCH_RELEASE_FINALIZER]}}
    return _stay(seen, Patch(seen.ref, body, resource_version=meta.resource_version))


def _ending(seen: BatchSnapshot) -> Out | None:
    status, plan = seen.release.status, seen.release.spec.release_plan
    deleting = seen.release.metadata.deletion_timestamp is not None
    lost = seen.workload is None and seen.supported and status.phase == P.PROGRESSING
    if not (deleting or lost or plan.batch_partition is None or status.phase == P.FINALIZING):
        return None
    if status.phase != P.FINALIZING:
        return Decision(replace(status, phase=P.FINALIZING, message=""))
    writes = give_back(seen.workload, _how(seen)) if seen.workload is not None and not seen.rival else ()
    if writes is None or writes:
        return _stay(seen, *(writes or ()))
    over = replace(_with_counts(seen, status), phase=P.COMPLETED, message="")
    return Decision(replace(over, conditions=without(over.conditions, ConditionType.PROGRESSING, STALLED)))


def _how(seen: BatchSnapshot) -> Ending:
    """What becomes of the workload."""
    plan = seen.release.spec.release_plan
    kept = seen.gates.keep_workload_paused_on_rollout_deletion
    if seen.owner_goes_on and plan.batch_partition is not None:
        return Ending.HANDED_OVER  # the owner goes on with another BatchRelease, or a person does
    if seen.owner_goes_on and _is_overtaken(seen):
        # To resume it would let a revision loose that its Rollout did not finish for.
        return Ending.SUCCEEDED if _is_done(seen) else Ending.HANDED_OVER
    # A workload that a person rolled back must get there; the gate is about releases that were broken off.
    if kept and not _is_done(seen) and not _is_rolled_back(seen):
        return Ending.PAUSED
    return Ending.RESUMED


def _is_done(seen: BatchSnapshot) -> bool:
    """It ends because all its steps are over; it was not broken off."""
    return seen.release.spec.release_plan.finalizing_policy == FinalizingPolicy.WAIT_RESUME


def _is_overtaken(seen: BatchSnapshot) -> bool:
    """The workload has another revision than the one that its Rollout finished, or broke off, this release for."""
    if seen.workload is None or seen.release.metadata.controller is None:
        return False
    if _is_done(seen):
        return seen.release.status.update_revision != seen.workload.state.update_revision
    return not _is_rolled_back(seen)  # a Rollout that goes on breaks a release off for a rollback only


def _is_rolled_back(seen: BatchSnapshot) -> bool:
    """The workload is to be what it was before the release, whether or not a pod of another revision was ever made."""
    if seen.workload is None:
        return False
    own, status = seen.workload.state.pod_template_hash, seen.release.status
    # The first of the two may have been written over.
    is_stable = own != "" and own in (seen.workload.state.stable_revision, status.stable_revision)
    return seen.workload.state.is_rollback or is_stable


def _in_the_way(seen: BatchSnapshot) -> Out | None:
    """Stand still for what a person must mend; go on by ourselves when it is mended."""
    status, problem = seen.release.status, problem_of(seen)
    if problem is None:
        if status.condition(STALLED) is None:
            return None
        return Decision(replace(status, conditions=without(status.conditions, STALLED), message=""))
    reason, message = problem
    told = Condition(type=STALLED, status="True", reason=reason, message=message)
    conditions = set_condition(status.conditions, told, seen.now)
    new = conditions is not status.conditions
    phase = status.phase or P.PREPARING
    return Decision(
        replace(status, conditions=conditions, message=message, phase=phase),
        notes=(Note(seen.ref, reason, message, "Warning"),) if new else (),
    )


def _replanned(seen: BatchSnapshot) -> Out | None:
    status, plan = seen.release.status, seen.release.spec.release_plan
    if status.phase != P.PROGRESSING:
        return None
    if status.observed_release_plan_hash == release_plan_hash(plan):
        return None
    renamed = plan.rollout_id != status.observed_rollout_id
    partition = plan.batch_partition or 0
    batch = 0 if renamed else max(0, min(partition, len(plan.batches) - 1))
    known = replace(status, observed_release_plan_hash=release_plan_hash(plan))
    return Decision(_begin(seen, known, batch))


def _out_of_range(seen: BatchSnapshot) -> Out | None:
    status = seen.release.status
    if status.phase != P.PROGRESSING:
        return None
    batch, count = status.canary_status.current_batch, len(seen.release.spec.release_plan.batches)
    if 0 <= batch < count:
        return None
    return Decision(
        _blank(status), notes=_invalid(seen, f"currentBatch {batch} is not one of {count}; they begin again")
    )


def _invalid(seen: BatchSnapshot, told: str) -> tuple[Note, ...]:
    """Only a status that somebody has written by hand leads here."""
    return (Note(seen.ref, EventReason.STATUS_INVALID, told, "Warning"),)


def _blank(status: BatchReleaseStatus) -> BatchReleaseStatus:
    """As before the first batch."""
    return BatchReleaseStatus(
        phase=P.PREPARING, observed_workload_replicas=-1, collision_count=status.collision_count
    )


def _scaled(seen: BatchSnapshot) -> Out | None:
    assert seen.workload is not None
    status, replicas = seen.release.status, seen.workload.state.replicas
    if status.phase != P.PROGRESSING or status.observed_workload_replicas == replicas:
        return None
    known = replace(status, observed_workload_replicas=replicas)
    return Decision(_begin(seen, known, status.canary_status.current_batch))


def _new_revision(seen: BatchSnapshot) -> Out | None:
    assert seen.workload is not None
    status, revision = seen.release.status, seen.workload.state.update_revision
    if status.phase != P.PROGRESSING or status.update_revision == revision:
        return None
    if seen.release.metadata.controller is not None:
        # The Rollout decides: it rolls back, or begins again with another BatchRelease.
        return _stay(seen)
    told = f"the workload has a new revision {revision}; its batches begin again"
    return Decision(_blank(status), notes=(Note(seen.ref, EventReason.PROGRESSING, told),))


# Phases and batch states ------------------------------------------------------------------------------------------


def _preparing(seen: BatchSnapshot) -> Out:
    """Also the way out of a phase that nobody knows."""
    assert seen.workload is not None
    state, status = seen.workload.state, seen.release.status
    batches, batch = seen.release.spec.release_plan.batches, max(0, status.canary_status.current_batch)
    first = batches[min(batch, len(batches) - 1)].canary_replicas
    if writes := seen.workload.claim(_owner(seen), first):
        return Decision(replace(status, phase=P.PREPARING), writes)
    begun = replace(
        status,
        phase=P.PROGRESSING,
        stable_revision=state.stable_revision,
        update_revision=state.update_revision,
        observed_workload_replicas=state.replicas,
        observed_release_plan_hash=release_plan_hash(seen.release.spec.release_plan),
    )
    return Decision(_begin(seen, begun, batch))


def _owner(seen: BatchSnapshot) -> OwnerReference:
    meta = seen.release.metadata
    return OwnerReference(
        api_version=seen.ref.api_version,
        kind=seen.ref.kind,
        name=meta.name,
        uid=meta.uid,
        controller=True,
        block_owner_deletion=True,
    )


def _begin(seen: BatchSnapshot, status: BatchReleaseStatus, batch: int) -> BatchReleaseStatus:
    """`status` at the beginning of `batch`, 0-based."""
    count = len(seen.release.spec.release_plan.batches)
    told = Condition(
        type=ConditionType.PROGRESSING,
        status="True",
        reason="InRolling",
        message=f"batch {batch + 1} of {count}",
    )
    batch_status = replace(
        counted(status.canary_status, seen.workload),
        batch_state=B.UPGRADING,
        current_batch=batch,
        batch_ready_time=None,
    )
    conditions = set_condition(status.conditions, told, seen.now, fresh=True)
    return replace(status, canary_status=batch_status, conditions=conditions, message="")


def _with_counts(seen: BatchSnapshot, status: BatchReleaseStatus) -> BatchReleaseStatus:
    return replace(status, canary_status=counted(status.canary_status, seen.workload))


def _with_batch(seen: BatchSnapshot, state: BatchState, ready_time: datetime | None) -> BatchReleaseStatus:
    status = seen.release.status
    batch = replace(
        counted(status.canary_status, seen.workload), batch_state=state, batch_ready_time=ready_time
    )
    return replace(status, canary_status=batch)


def _progressing(seen: BatchSnapshot) -> Out:
    state = seen.release.status.canary_status.batch_state
    row = BATCH_STATES.get(state)
    if row is not None:
        return row.take(seen)
    return replace(
        _upgrading(seen), notes=_invalid(seen, f"batchState {state!r} is not one; the batch begins again")
    )


def _upgrading(seen: BatchSnapshot) -> Out:
    return Decision(_with_batch(seen, B.VERIFYING, None), _advance(seen))


def _advance(seen: BatchSnapshot) -> tuple[Write, ...]:
    assert seen.workload is not None
    plan = seen.release.spec.release_plan
    batch = plan.batches[seen.release.status.canary_status.current_batch].canary_replicas
    if seen.workload.state.claimed_by != seen.release.metadata.uid:
        # A person took the claim off; or the workload has been given back, and this release is over and old news:
        # without a claim nobody could tell whom it is held for.
        return seen.workload.claim(_owner(seen), batch)
    return seen.workload.advance(batch)


def _verifying(seen: BatchSnapshot) -> Out:
    assert seen.workload is not None
    if writes := _advance(seen):
        return _stay(seen, *writes)
    if not seen.workload.state.settled:
        return _stay(seen)
    if not is_enough(seen.release, seen.workload):
        return _wait(seen)
    labels = label_writes(seen)
    if labels is None:
        return _wait(seen)
    done = replace(_with_batch(seen, B.READY, seen.now), message="")
    return Decision(done, labels, notes=_told(seen))


def _told(seen: BatchSnapshot) -> tuple[Note, ...]:
    """Only of a person's own BatchRelease: a Rollout tells of its steps itself."""
    if seen.release.metadata.controller is not None or seen.workload is None:
        return ()
    batch, count = (
        seen.release.status.canary_status.current_batch,
        len(seen.release.spec.release_plan.batches),
    )
    pods = pods_of(seen.workload.state.updated_ready)
    told = f"batch {batch + 1} of {count} is ready: {pods} of the new revision"
    return (Note(seen.ref, EventReason.PROGRESSING, told),)


def _wait(seen: BatchSnapshot) -> Out:
    """The batch is not ready: look again in time, and say why once it has lasted."""
    status = seen.release.status
    condition = status.condition(ConditionType.PROGRESSING)
    since = condition.last_update_time if condition is not None else None
    if since is None:
        return Decision(_begin(seen, status, status.canary_status.current_batch))
    due = since + timedelta(seconds=REFRESH_SECONDS)
    if seen.now < due:
        return _stay(seen, wake_at=due)
    words = waiting_words(seen)
    told = replace(_with_counts(seen, status), message=words)
    again = seen.now + timedelta(seconds=REFRESH_SECONDS)
    if told == status:
        return _stay(seen, wake_at=again)
    return Decision(_refreshed(seen, told, words), wake_at=again)


def _refreshed(seen: BatchSnapshot, told: BatchReleaseStatus, words: str) -> BatchReleaseStatus:
    """`told`, whose condition's time is the clock of the next refresh, also when only counters changed."""
    progressing = Condition(type=ConditionType.PROGRESSING, status="True", reason="InRolling", message=words)
    conditions = tuple(
        replace(c, last_update_time=seen.now) if c.type == ConditionType.PROGRESSING else c
        for c in set_condition(told.conditions, progressing, seen.now)
    )
    return replace(told, conditions=conditions)


def _ready(seen: BatchSnapshot) -> Out:
    assert seen.workload is not None
    plan, batch = seen.release.spec.release_plan, seen.release.status.canary_status.current_batch
    if seen.workload.state.settled and not is_still_enough(seen.release, seen.workload):
        return Decision(_begin(seen, seen.release.status, batch))
    if plan.batch_partition is not None and plan.batch_partition > batch and batch + 1 < len(plan.batches):
        return Decision(_begin(seen, seen.release.status, batch + 1))
    writes = _advance(seen)
    return _stay(seen, *writes) if writes else _recounted(seen)


def _recounted(seen: BatchSnapshot) -> Out:
    """Counters of a batch that is ready: pods come and go, and a change of replicas is shared out."""
    status = seen.release.status
    told, condition = _with_counts(seen, status), status.condition(ConditionType.PROGRESSING)
    if told == status or condition is None or condition.last_update_time is None:
        return _stay(seen)
    due = condition.last_update_time + timedelta(seconds=REFRESH_SECONDS)
    if seen.now < due:
        return _stay(seen, wake_at=due)
    return Decision(_refreshed(seen, told, condition.message))


def _by_phase(seen: BatchSnapshot) -> Out | None:
    status = seen.release.status
    row = PHASES.get(status.phase)
    if row is not None:
        return row.take(seen)
    told = f"phase {status.phase!r} is not one; the batches begin again"
    return Decision(_blank(status), notes=_invalid(seen, told) if status.phase else ())


class Row(Struct, frozen=True):
    """A phase or a batch state: what it does, and where it may lead."""

    take: Callable[[BatchSnapshot], Out]
    to: tuple[str, ...]


CASES: tuple[Case, ...] = (
    _finished,
    _not_guarded,
    _ending,
    _in_the_way,
    _replanned,
    _out_of_range,
    _scaled,
    _new_revision,
    _by_phase,
)
PHASES: dict[str, Row] = {
    P.PREPARING: Row(_preparing, (P.PROGRESSING, P.FINALIZING)),
    P.PROGRESSING: Row(_progressing, (P.FINALIZING, P.PREPARING)),
}
BATCH_STATES: dict[str, Row] = {
    B.UPGRADING: Row(_upgrading, (B.VERIFYING,)),
    B.VERIFYING: Row(_verifying, (B.READY,)),
    B.READY: Row(_ready, (B.UPGRADING,)),
}
