"""The BatchRelease that a Rollout makes for its release: what it should say, and what it says back.

How it moves pods is batch.py's.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from kruise_rollouts.api.hashes import release_plan_hash
from kruise_rollouts.api.keys import (
    BATCH_RELEASE_FINALIZER,
    ROLLBACK_ID_PREFIX,
    ROLLBACK_IN_BATCH,
    V1BETA1,
    BatchState,
    ReleasePhase,
)
from kruise_rollouts.api.rollouts_v1beta1 import (
    BatchRelease,
    BatchReleaseSpec,
    CanaryStrategy,
    ReleaseBatch,
    ReleasePlan,
)
from kruise_rollouts.core.snapshot import RolloutSnapshot, SubStatus
from kruise_rollouts.core.tasks import Todo
from kruise_rollouts.kube.effects import Create, Delete, JsonObject, Patch
from kruise_rollouts.kube.labels import is_label_value
from kruise_rollouts.kube.patch import merge_diff


def align(seen: RolloutSnapshot) -> Todo | None:
    """What keeps the BatchRelease from asking for the current step; None if it does ask for it."""
    release = seen.own_release
    if release is None:
        if seen.release is not None:
            return Todo("the BatchRelease of the same name to be gone")
        return Todo("the BatchRelease to begin", (Create(seen.release_ref, _body(seen)),))
    if release.metadata.deletion_timestamp is not None:
        return Todo("the last BatchRelease to be gone")
    if is_spent(release) or _is_of_another_revision(release, seen):
        # It has let go of the workload, or will not move it: only a new one claims it again.
        return Todo("the last BatchRelease to be gone", (Delete(seen.release_ref, uid=release.metadata.uid),))
    wanted = _spec(seen)
    if release.spec == wanted:
        return None
    body = merge_diff(msgspec.to_builtins(release.spec), msgspec.to_builtins(wanted))
    return Todo("the BatchRelease to take the step", (Patch(seen.release_ref, {"spec": body}),))


def is_spent(release: BatchRelease) -> bool:
    """It was told to finish, or has finished."""
    done = release.status.phase in (ReleasePhase.FINALIZING, ReleasePhase.COMPLETED)
    return done or release.spec.release_plan.batch_partition is None


def _is_of_another_revision(release: BatchRelease, seen: RolloutSnapshot) -> bool:
    known = release.status.update_revision
    begun = known != "" or release.status.phase == ReleasePhase.PROGRESSING
    return seen.workload is not None and begun and known != seen.workload.state.update_revision


def relabel(seen: RolloutSnapshot) -> tuple[Patch, ...]:
    """Writes that pass a new rollout id on to a BatchRelease that stands between two steps."""
    release, wanted = seen.own_release, rollout_id(seen)
    if release is None or is_spent(release) or release.metadata.deletion_timestamp is not None:
        return ()
    if release.spec.release_plan.rollout_id == wanted:
        return ()
    return (Patch(seen.release_ref, {"spec": {"releasePlan": {"rolloutID": wanted}}}),)


def rollout_id(seen: RolloutSnapshot) -> str:
    """The person's id of this release, or one made of the revision; never empty once there is a revision.

    An id that is no label is no id: a release stands still for it (problems.py), and its way back must not spread it.
    """
    if seen.workload is None:
        return seen.sub.observed_rollout_id
    state = seen.workload.state
    if state.rollout_id and is_label_value(state.rollout_id):
        return state.rollout_id
    prefix = ROLLBACK_ID_PREFIX if state.is_rollback and state.is_in_progress else ""
    return prefix + (seen.sub.updated_revision or state.update_revision)


def has_reached(release: BatchRelease, step: int) -> bool:
    """The batch of `step` (1-based) is ready, and that is said of the plan as it is now."""
    status = release.status
    return (
        status.observed_release_plan_hash == release_plan_hash(release.spec.release_plan)
        and status.observed_generation == release.metadata.generation
        and status.canary_status.batch_state == BatchState.READY
        and status.canary_status.current_batch + 1 >= step
    )


def mirrored(sub: SubStatus, release: BatchRelease | None, *, complete: bool = False) -> SubStatus:
    """`sub` with the counters and words of `release`.

    A batch that has merely begun is not worth a status write of its own: unless `complete`, words are taken over
    with new counters or with something to wait for only.
    """
    if release is None:
        return sub
    batch, words = release.status.canary_status, _words(release)
    counted = (batch.updated_replicas, batch.updated_ready_replicas)
    unchanged = counted == (sub.updated_replicas, sub.updated_ready_replicas)
    if not complete and (not batch.batch_state or (unchanged and not release.status.message)):
        return sub
    return replace(sub, updated_replicas=counted[0], updated_ready_replicas=counted[1], message=words)


def _words(release: BatchRelease) -> str:
    status = release.status
    state, batch = status.canary_status.batch_state, status.canary_status.current_batch + 1
    words = f"BatchRelease is at state {state}, rollout-id {status.observed_rollout_id}, step {batch}"
    return f"{words}, {status.message}" if status.message else words


def _spec(seen: RolloutSnapshot) -> BatchReleaseSpec:
    strategy = seen.rollout.spec.strategy.active
    canary = strategy if isinstance(strategy, CanaryStrategy) else None
    assert strategy is not None and seen.strategy is not None
    plan = ReleasePlan(
        batches=tuple(ReleaseBatch(step.replicas or 0) for step in strategy.steps),
        batch_partition=seen.sub.current_step_index - 1,
        rollout_id=rollout_id(seen),
        failure_threshold=strategy.failure_threshold,
        patch_pod_template_metadata=canary.patch_pod_template_metadata if canary is not None else None,
        rolling_style=seen.strategy.style,
        enable_extra_workload_for_canary=canary.enable_extra_workload_for_canary
        if canary is not None
        else False,
    )
    return BatchReleaseSpec(workload_ref=seen.rollout.spec.workload_ref, release_plan=plan)


def _body(seen: RolloutSnapshot) -> JsonObject:
    meta = seen.rollout.metadata
    owner = {
        "apiVersion": V1BETA1,
        "kind": "Rollout",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    made: JsonObject = {
        "name": meta.name,
        "namespace": meta.namespace,
        "ownerReferences": [owner],
        "finalizers": [BATCH_RELEASE_FINALIZER],
    }
    policy = meta.annotations.get(ROLLBACK_IN_BATCH)
    if policy is not None and seen.workload is not None and seen.workload.state.is_rollback:
        made["annotations"] = {ROLLBACK_IN_BATCH: policy}
    spec = msgspec.to_builtins(_spec(seen))
    return {"apiVersion": V1BETA1, "kind": "BatchRelease", "metadata": made, "spec": spec}
