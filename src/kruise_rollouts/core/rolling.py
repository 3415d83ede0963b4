"""A release under way: what comes before the steps, in this order, and what ends it.

Each case is a predicate and what to do about it; the first that holds decides. The order is a contract: a rollback
is looked for before a pause, so a paused release can be rolled back, and a new revision before the steps, so no step
goes on for a revision that the person has given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.keys import (
    ROLLBACK_IN_BATCH,
    ConditionType,
    EventReason,
    ProgressingReason,
    RolloutPhase,
    StepState,
)
from kruise_rollouts.api.rollouts_v1beta1 import (
    BlueGreenStatus,
    CanaryStatus,
    Condition,
    Style,
)
from kruise_rollouts.core.child_release import mirrored, relabel, rollout_id
from kruise_rollouts.core.conditions import set_condition
from kruise_rollouts.core.finalise import finalise, lacking
from kruise_rollouts.core.outcomes import (
    Out,
    move,
    natural_next,
    pods_of,
    seen_with,
    stay,
    tell,
    with_progress,
    with_step,
    with_sub,
)
from kruise_rollouts.core.rejected import forget, held_message, is_rejected, remember
from kruise_rollouts.core.replan import jumped, plan_changed, plan_hash, step_so_far, with_advice
from kruise_rollouts.core.snapshot import Reason, RolloutSnapshot, SubStatus
from kruise_rollouts.core.steps import approved_too_early, take_step

P = ProgressingReason
PAUSED_MESSAGE = "Rollout has been paused, you can resume it by kube-cli"
CANCEL_MESSAGE = "The workload has been rolled back and the rollout process will be canceled"
Case: TypeAlias = Callable[[RolloutSnapshot], Out | None]


def progress(seen: RolloutSnapshot) -> Out:
    """The next outcome of a Rollout in phase Progressing, whose workload is there and whose plan is sound."""
    condition = seen.status.condition(ConditionType.PROGRESSING)
    row = REASONS.get(condition.reason if condition is not None else "")
    if row is None or (seen.status.active is None and row.take is not _initializing):
        told = "the status does not say how far the release is; it begins anew with what is seen"
        status = with_progress(seen.status, P.INITIALIZING, "Rollout is in Progressing", seen.now)
        return move(seen, status, notes=tell(seen, told, reason=EventReason.STATUS_INVALID, type_="Warning"))
    return row.take(seen)


def _initializing(seen: RolloutSnapshot) -> Out:
    """The sub-status of a new release, at its first step."""
    assert seen.workload is not None
    if seen.own_release is not None and (waiting := finalise(seen, Reason.CONTINUOUS)) is not None:
        return waiting  # an older release's
    if is_taken_back(seen):
        cancelled = with_progress(with_sub(seen, fresh_sub(seen)), P.CANCELLING, CANCEL_MESSAGE, seen.now)
        return move(
            seen, cancelled, notes=tell(seen, "the new revision was taken back before its first step")
        )
    status = with_sub(seen, fresh_sub(seen))
    if is_rejected(seen):
        held = seen_with(seen, status)
        status = with_step(held, current_step_index=0, next_step_index=1, current_step_state=StepState.PAUSED)
        message = held_message(held)
        rolling = with_progress(status, P.IN_ROLLING, message, seen.now)
        return move(seen, rolling, notes=tell(seen, message, type_="Warning"))
    rolling = with_progress(status, P.IN_ROLLING, "Rollout is in Progressing", seen.now)
    return move(seen, rolling, notes=tell(seen, _started(seen)))


def _started(seen: RolloutSnapshot) -> str:
    assert seen.workload is not None
    state = seen.workload.state
    first = seen.workload.planned(seen.steps[0].replicas or 0)
    return (
        f"release of revision {state.update_revision} begins: step 1/{len(seen.steps)} wants "
        f"{first} of {pods_of(state.replicas)}"
    )


def fresh_sub(seen: RolloutSnapshot, *, completed: bool = False) -> SubStatus:
    """The sub-status of a release of the workload's revision that begins, or that is over."""
    assert seen.workload is not None
    state, steps = seen.workload.state, len(seen.steps)
    index = steps if completed else 1
    kind = (
        BlueGreenStatus
        if seen.strategy is not None and seen.strategy.style is Style.BLUE_GREEN
        else CanaryStatus
    )
    made = kind(
        observed_workload_generation=state.generation,
        rollout_hash=plan_hash(seen),
        stable_revision=state.stable_revision,
        pod_template_hash=state.pod_template_hash if completed else "",
        current_step_index=index,
        next_step_index=natural_next(index, steps),
        current_step_state=StepState.COMPLETED if completed else StepState.BEFORE_UPGRADE,
        last_update_time=seen.now,
        updated_revision=state.update_revision,
        updated_replicas=state.updated if completed else 0,
        updated_ready_replicas=state.updated_ready if completed else 0,
        message="workload deployment is completed" if completed else "",
    )
    told = seen_with(seen, replace(seen.status, canary_status=None, blue_green_status=None))
    return replace(made, observed_rollout_id=rollout_id(told))


def is_same_revision(seen: RolloutSnapshot) -> bool:
    """The workload still has the revision that this release is for.

    Known by our hash of the template; or by the ReplicaSet's own, when the status was written by a controller that
    hashes templates in another way.
    """
    assert seen.workload is not None
    state, sub = seen.workload.state, seen.sub
    if sub.updated_revision == state.update_revision:
        return True
    return sub.pod_template_hash != "" and sub.pod_template_hash == state.pod_template_hash


def is_taken_back(seen: RolloutSnapshot) -> bool:
    """The template is the stable one again, whether or not a pod of another revision was ever made."""
    assert seen.workload is not None
    state = seen.workload.state
    return state.is_rollback or (
        state.stable_revision != "" and state.stable_revision == state.pod_template_hash
    )


def is_back(seen: RolloutSnapshot) -> bool:
    """During a release: the template is the one that it set out from, whatever marks have been written over."""
    assert seen.workload is not None
    own = seen.workload.state.pod_template_hash
    return is_taken_back(seen) or (own != "" and own == seen.sub.stable_revision)


def is_ending(seen: RolloutSnapshot) -> bool:
    """A release that is on its way out, or has just been taken back by the person."""
    condition = seen.status.condition(ConditionType.PROGRESSING)
    if seen.status.phase != RolloutPhase.PROGRESSING or condition is None or seen.status.active is None:
        return False
    if condition.reason in (P.FINALISING, P.CANCELLING, P.COMPLETED):
        return is_same_revision(seen)
    return condition.reason in (P.IN_ROLLING, P.PAUSED) and is_back(seen) and not is_same_revision(seen)


# Special cases, before the step's own state -----------------------------------------------------------------------


def _rolled_back(seen: RolloutSnapshot) -> Out | None:
    assert seen.workload is not None
    if not is_back(seen) or is_same_revision(seen):
        return None
    message = CANCEL_MESSAGE
    if seen.rollout.metadata.annotations.get(ROLLBACK_IN_BATCH) == "true":
        message += f"; {ROLLBACK_IN_BATCH} has no effect on this kind of workload"
    state = seen.workload.state
    status = with_step(
        seen,
        updated_revision=state.update_revision,
        pod_template_hash=state.pod_template_hash,
        finalising_step="",
    )
    cancelled = with_progress(status, P.CANCELLING, message, seen.now)
    told = f"revision {seen.sub.updated_revision} has been rolled back, then rollout is canceled"
    return move(seen, cancelled, *remember(seen), notes=tell(seen, told))


def _new_revision(seen: RolloutSnapshot) -> Out | None:
    if is_same_revision(seen):
        return None
    assert seen.strategy is not None and seen.workload is not None
    if seen.strategy.refuses_new_revision:
        return stay(seen, message=seen.strategy.refuses_new_revision)
    return restart(seen)


def restart(seen: RolloutSnapshot) -> Out:
    """The release begins again, with the workload's revision."""
    assert seen.workload is not None
    told = f"workload continuous publishing revision {seen.workload.state.update_revision}, then restart publishing"
    found = lacking(seen, Reason.CONTINUOUS)
    if found is not None:
        begins = bool(found[1].writes)
        waiting = finalise(seen, Reason.CONTINUOUS)
        assert waiting is not None
        return replace(waiting, notes=tell(seen, told) if begins else ())
    emptied = with_sub(seen, None)
    return move(seen, with_progress(emptied, P.INITIALIZING, "Workload is continuous release", seen.now))


def unmarked(seen: RolloutSnapshot) -> Out | None:
    """A tool that replaced the workload dropped our mark, or admission was away: put it back, or say so."""
    assert seen.workload is not None
    writes = seen.workload.hold(seen.rollout.metadata.name, seen.sub.stable_revision)
    if not writes:
        return None
    told = "the workload had lost the marks of its release; they are put back and the release goes on"
    return replace(stay(seen, *writes), notes=tell(seen, told, reason="Reclaimed", type_="Warning"))


def _unmarked(seen: RolloutSnapshot) -> Out | None:
    release = seen.own_release
    if release is not None and release.spec.release_plan.batch_partition is None:
        return None  # told to give the workload back, and we died before we had said so
    return unmarked(seen)


def _paused(seen: RolloutSnapshot) -> Out | None:
    condition = seen.status.condition(ConditionType.PROGRESSING)
    was = condition is not None and condition.reason == P.PAUSED
    where = f"step {seen.sub.current_step_index}/{len(seen.steps)}"
    if seen.rollout.spec.strategy.paused:
        if was:
            return stay(seen)
        paused = with_progress(seen.status, P.PAUSED, PAUSED_MESSAGE, seen.now)
        told = f"the release is paused in {where} by spec.strategy.paused"
        return move(seen, paused, notes=tell(seen, told, reason=EventReason.PAUSED))
    if was:
        message = held_message(seen) if _is_held(seen) else "Rollout is in Progressing"
        resumed = with_progress(seen.status, P.IN_ROLLING, message, seen.now)
        told = f"the release is resumed in {where}"
        return move(seen, resumed, notes=tell(seen, told, reason=EventReason.RESUMED))
    return None


def _out_of_range(seen: RolloutSnapshot) -> Out | None:
    """A step index that the plan does not have: written by hand, or the plan became shorter."""
    index, last = seen.sub.current_step_index, len(seen.steps)
    if 1 <= index <= last or _is_held(seen):
        return None
    kept = step_so_far(seen)
    told = f"currentStepIndex {index} is not a step of the plan; going on with step {kept} of {last}"
    sub = with_step(
        seen,
        current_step_index=kept,
        next_step_index=natural_next(kept, last),
        current_step_state=StepState.BEFORE_UPGRADE,
    )
    return move(seen, with_advice(sub, told, seen), notes=tell(seen, told, type_="Warning"))


def _is_held(seen: RolloutSnapshot) -> bool:
    """At step 0, which only a rejected revision has, or just let go from there."""
    state = seen.sub.current_step_state
    return (
        seen.sub.current_step_index == 0
        and state in (StepState.PAUSED, StepState.READY)
        and is_rejected(seen)
    )


def _renamed(seen: RolloutSnapshot) -> Out | None:
    """The person gave the release another id: its BatchRelease labels the pods anew."""
    wanted = rollout_id(seen)
    if seen.sub.observed_rollout_id != wanted:
        return move(seen, with_step(seen, observed_rollout_id=wanted))
    writes = relabel(seen)
    return stay(seen, *writes) if writes else None


ROLLING_CASES: tuple[Case, ...] = (
    approved_too_early,
    _rolled_back,
    _new_revision,
    _unmarked,
    _out_of_range,
    plan_changed,
    _paused,
    _renamed,
    jumped,
)


def _rolling(seen: RolloutSnapshot) -> Out:
    if seen.own_release is not None and is_same_revision(seen):
        seen = seen_with(seen, with_sub(seen, mirrored(seen.sub, seen.own_release)))
    for case in ROLLING_CASES:
        if (out := case(seen)) is not None:
            return out
    return take_step(seen)


# The end ----------------------------------------------------------------------------------------------------------


def _finalising(seen: RolloutSnapshot) -> Out:
    if not is_same_revision(seen):
        return restart(seen)  # marked by admission or not: it is not what this release has released
    if (out := finalise(seen, Reason.SUCCESS)) is not None:
        return out
    message = "Rollout progressing has been completed"
    done = f"release of revision {seen.sub.updated_revision} is complete"
    return _over(seen, message, succeeded=True, told=done)


def _cancelling(seen: RolloutSnapshot) -> Out:
    assert seen.workload is not None
    if seen.workload.state.is_in_progress and not is_same_revision(seen):
        return restart(seen)
    if (out := finalise(seen, Reason.ROLLBACK)) is not None:
        return out
    message = "Rollout progressing has been canceled"
    return _over(seen, message, succeeded=False, told=f"back at revision {seen.sub.updated_revision}")


def _over(seen: RolloutSnapshot, message: str, *, succeeded: bool, told: str) -> Out:
    sub = replace(
        seen.sub,
        current_step_state=StepState.COMPLETED,
        finalising_step="",
        last_update_time=seen.now,
    )
    status = with_progress(with_sub(seen, sub), P.COMPLETED, message, seen.now)
    outcome = Condition(type=ConditionType.SUCCEEDED, status="True" if succeeded else "False")
    status = replace(status, conditions=set_condition(status.conditions, outcome, seen.now, fresh=True))
    forgotten = forget(seen) if succeeded else ()
    return move(seen, status, *forgotten, notes=tell(seen, told, reason="Completed"))


def _is_over(seen: RolloutSnapshot) -> Out:
    return move(seen, replace(seen.status, phase=RolloutPhase.HEALTHY))


class Row(Struct, frozen=True):
    """A reason of the condition Progressing: what it does, and the reasons it may lead to."""

    take: Callable[[RolloutSnapshot], Out]
    to: tuple[ProgressingReason, ...]


REASONS: dict[str, Row] = {
    P.INITIALIZING: Row(_initializing, (P.IN_ROLLING, P.CANCELLING)),
    P.IN_ROLLING: Row(_rolling, (P.PAUSED, P.CANCELLING, P.INITIALIZING, P.FINALISING)),
    P.PAUSED: Row(_rolling, (P.IN_ROLLING, P.CANCELLING, P.INITIALIZING)),
    P.FINALISING: Row(_finalising, (P.COMPLETED, P.INITIALIZING)),
    P.CANCELLING: Row(_cancelling, (P.COMPLETED, P.INITIALIZING)),
    P.COMPLETED: Row(_is_over, ()),
}
