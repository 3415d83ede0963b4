"""Rollouts: the phases of one, and what comes before any of them.

`decide_rollout` makes at most one transition; the fold loop calls it again on its own result. A release under way
is rolling.py, its steps are steps.py, its end is finalise.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.keys import (
    HASH,
    ROLLOUT_FINALIZER,
    ConditionType,
    EventReason,
    ProgressingReason,
    ReleasePhase,
    RolloutPhase,
    StepState,
    TerminatingReason,
)
from kruise_rollouts.api.rollouts_v1beta1 import Condition, RolloutStatus
from kruise_rollouts.core.child_release import rollout_id
from kruise_rollouts.core.conditions import STALLED, set_condition, without
from kruise_rollouts.core.finalise import finalise
from kruise_rollouts.core.marks import give_back, look_again
from kruise_rollouts.core.outcomes import Out, move, seen_with, stay, tell, with_progress, with_sub
from kruise_rollouts.core.problems import Problem, problem_of, with_stalled
from kruise_rollouts.core.replan import plan_hash
from kruise_rollouts.core.rolling import fresh_sub, is_ending, is_same_revision, progress, unmarked
from kruise_rollouts.core.snapshot import Reason, RolloutSnapshot
from kruise_rollouts.core.tasks import is_ours
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.kube.effects import Delete, JsonObject, Note, Patch

P = RolloutPhase
HEALTHY_MESSAGE = "rollout is healthy"
Case: TypeAlias = Callable[[RolloutSnapshot], Out | None]


def decide_rollout(seen: RolloutSnapshot) -> Out:
    """The next status of a Rollout and the writes that are missing now. Never raises for a state of the world."""
    out = next(out for case in CASES if (out := case(seen)) is not None)
    return replace(out, status=_observed(seen, out.status))


def _observed(seen: RolloutSnapshot, status: RolloutStatus) -> RolloutStatus:
    """The mirrors, and the generations that `status` was decided on."""
    sub = status.active
    status = replace(
        status,
        observed_generation=seen.rollout.metadata.generation,
        current_step_index=sub.current_step_index if sub is not None else 0,
        current_step_state=sub.current_step_state if sub is not None else "",
    )
    # A new generation of the workload alone is not worth a status write while a release runs: our own engine makes
    # several of them per step.
    changed = status != seen.status or status.phase == P.HEALTHY
    if sub is None or seen.workload is None or seen.strategy is None or not changed:
        return status
    generation = seen.workload.state.generation
    if sub.observed_workload_generation == generation or not is_same_revision(seen_with(seen, status)):
        return status
    return seen.strategy.with_sub(status, replace(sub, observed_workload_generation=generation))


# Before any phase -------------------------------------------------------------------------------------------------


def _of_another_style(seen: RolloutSnapshot) -> Out | None:
    """A sub-status that the style does not keep: written by hand, or left from a plan of another style."""
    if seen.strategy is None:
        return None
    status = seen.strategy.alone(seen.status)
    if status is seen.status:
        return None
    keeps_canary = status.canary_status is seen.status.canary_status
    name, kept = ("blueGreenStatus", "canaryStatus") if keeps_canary else ("canaryStatus", "blueGreenStatus")
    told = f"status.{name} is dropped: a release in this style keeps {kept}"
    return move(seen, status, notes=tell(seen, told, reason=EventReason.STATUS_INVALID, type_="Warning"))


def _deleted(seen: RolloutSnapshot) -> Out | None:
    meta = seen.rollout.metadata
    if meta.deletion_timestamp is None:
        return None
    condition = seen.status.condition(ConditionType.TERMINATING)
    if seen.status.phase != P.TERMINATING or condition is None:
        message = "Rollout is in terminating"
        told = Condition(
            type=ConditionType.TERMINATING,
            status="True",
            reason=TerminatingReason.IN_TERMINATING,
            message=message,
        )
        conditions = set_condition(seen.status.conditions, told, seen.now)
        status = replace(seen.status, phase=P.TERMINATING, conditions=conditions, message=message)
        going = f"Rollout {meta.name} is being deleted, and lets go of its workload"
        return move(seen, status, notes=tell(seen, going, reason=EventReason.TERMINATING))
    if (waiting := finalise(seen, Reason.DELETED)) is not None:
        return waiting
    if condition.reason != TerminatingReason.COMPLETED:
        # The last chance to see a mark that admission put on a moment ago and no event has told of yet.
        fresh = (look_again(seen.workload),) if seen.workload is not None else ()
        over = replace(condition, status="False", reason=TerminatingReason.COMPLETED)
        conditions = set_condition(seen.status.conditions, over, seen.now)
        return move(seen, replace(seen.status, conditions=conditions), *fresh)
    if ROLLOUT_FINALIZER not in meta.finalizers:
        return stay(seen)
    return stay(seen, _with_finalizers(seen, tuple(f for f in meta.finalizers if f != ROLLOUT_FINALIZER)))


def _not_adopted(seen: RolloutSnapshot) -> Out | None:
    """The Rollout's own marks: the finalizer, and the hash that clients compare. Both in one write at first."""
    meta, wanted = seen.rollout.metadata, plan_hash(seen)
    marks: JsonObject = {}
    if wanted and meta.annotations.get(HASH) != wanted:
        marks = {"annotations": {HASH: wanted}}
    if ROLLOUT_FINALIZER not in meta.finalizers:
        return stay(seen, _with_finalizers(seen, (*meta.finalizers, ROLLOUT_FINALIZER), marks))
    return stay(seen, Patch(seen.ref, {"metadata": marks})) if marks else None


def _with_finalizers(seen: RolloutSnapshot, wanted: tuple[str, ...], more: JsonObject | None = None) -> Patch:
    # A list is replaced as a whole, so it must not have changed since we read it.
    version = seen.rollout.metadata.resource_version
    body = {"metadata": {**(more or {}), "finalizers": list(wanted)}}
    return Patch(seen.ref, body, resource_version=version)


def _disabled(seen: RolloutSnapshot) -> Out | None:
    phase = seen.status.phase
    if phase == P.DISABLING and _is_kept(seen):
        told = "the Rollout is not disabled; its release goes on"
        return move(seen, replace(seen.status, phase=P.PROGRESSING), notes=tell(seen, told))
    if phase == P.DISABLING:
        if (waiting := finalise(seen, Reason.DISABLED)) is not None:
            return waiting
        status = replace(seen.status, phase=P.DISABLED, message="Rollout is disabled")
        return move(seen, status, notes=_tell_switched(seen, P.DISABLED))
    if not seen.rollout.spec.disabled:
        return None
    # Held, but not begun: admission was faster than this status. Or begun, and the status written by hand since.
    release = seen.own_release
    stands = is_ours(seen) or (release is not None and release.metadata.deletion_timestamp is None)
    if phase == P.DISABLED and not stands:
        return stay(seen)
    conditions = without(seen.status.conditions, STALLED)
    busy = phase == P.PROGRESSING or stands
    to, message = (
        (P.DISABLING, "Disabling rollout, release resources") if busy else (P.DISABLED, "Rollout is disabled")
    )
    status = replace(seen.status, phase=to, message=message, conditions=conditions)
    return move(seen, status, notes=_tell_switched(seen, to))


def _tell_switched(seen: RolloutSnapshot, to: RolloutPhase) -> tuple[Note, ...]:
    """Words on spec.disabled, set or taken back."""
    name = seen.rollout.metadata.name
    match to:
        case P.DISABLING:
            told = f"Rollout {name} is disabled in the middle of a release, and lets go of its workload"
            return tell(seen, told, reason=EventReason.DISABLING)
        case P.DISABLED:
            told = f"Rollout {name} is disabled: new versions of its workload are not released in steps"
            return tell(seen, told, reason=EventReason.DISABLED)
        case _:
            told = f"Rollout {name} is enabled: new versions of its workload are released in steps"
            return tell(seen, told, reason=EventReason.ENABLED)


def _is_kept(seen: RolloutSnapshot) -> bool:
    """Enabled again, or never disabled but by a hand-written phase, before the release was told to finish."""
    release = seen.own_release
    if seen.rollout.spec.disabled or release is None or release.metadata.deletion_timestamp is not None:
        return False
    return release.spec.release_plan.batch_partition is not None


def _without_workload(seen: RolloutSnapshot) -> Out | None:
    if seen.workload is not None or not seen.supported:
        return None
    ref = seen.rollout.spec.workload_ref
    status = RolloutStatus(phase=P.INITIAL, conditions=seen.status.conditions)
    advice = f"there is no {ref.kind} {ref.name} in this namespace; create it, or correct spec.workloadRef."
    status = with_stalled(status, Problem("WorkloadNotFound", advice), seen)
    conditions = without(status.conditions, *(t for t in ConditionType if t != ConditionType.TERMINATING))
    status = replace(status, conditions=conditions, message="Workload Not Found")
    release = seen.own_release
    orphan = release is not None and release.metadata.deletion_timestamp is None
    writes = (Delete(seen.release_ref, uid=release.metadata.uid),) if release is not None and orphan else ()
    was = seen.status.condition(STALLED)
    new = seen.status.phase not in ("", P.INITIAL) or was is None or was.reason != "WorkloadNotFound"
    notes = tell(seen, advice, reason="WorkloadNotFound", type_="Warning") if new else ()
    return move(seen, status, *writes, notes=notes)


def _stalled(seen: RolloutSnapshot) -> Out | None:
    """Stand still for a problem, where we are; go on by ourselves when it is gone."""
    problem, was = problem_of(seen), seen.status.condition(STALLED)
    if problem is None:
        if was is None:
            return None
        status = with_stalled(seen.status, None, seen)
        resting = HEALTHY_MESSAGE if status.phase == P.HEALTHY else ""
        return move(
            seen, replace(status, message=resting if was.message == status.message else status.message)
        )
    if seen.workload is not None and seen.strategy is not None and is_ending(seen):
        return None  # going back needs no plan
    status = with_stalled(seen.status, problem, seen)
    status = replace(status, phase=status.phase or P.INITIAL)
    new = was is None or (was.reason, was.message) != (problem.reason, problem.message)
    return move(
        seen, status, notes=tell(seen, problem.message, reason=problem.reason, type_="Warning") if new else ()
    )


def _by_phase(seen: RolloutSnapshot) -> Out | None:
    row = PHASES.get(seen.status.phase)
    if row is not None:
        return row.take(seen)
    told = f"phase {seen.status.phase!r} is not one; the Rollout begins anew with what it sees"
    notes = tell(seen, told, reason=EventReason.STATUS_INVALID, type_="Warning")
    return move(seen, replace(seen.status, phase=P.INITIAL), notes=notes)


# Phases -----------------------------------------------------------------------------------------------------------


def _initial(seen: RolloutSnapshot) -> Out:
    assert seen.workload is not None
    if writes := seen.workload.adopt():
        return stay(seen, *writes)
    return move(seen, replace(seen.status, phase=P.HEALTHY, message=HEALTHY_MESSAGE))


def _healthy(seen: RolloutSnapshot) -> Out:
    assert seen.workload is not None
    state, sub = seen.workload.state, seen.status.active
    if writes := seen.workload.adopt():
        return stay(seen, *writes)  # a tool that replaces objects took our label: admission goes by it
    if state.is_in_progress:
        conditions = without(seen.status.conditions, ConditionType.SUCCEEDED)
        status = replace(seen.status, phase=P.PROGRESSING, conditions=conditions)
        message = "Rollout is in Progressing"
        return move(
            seen, with_progress(status, ProgressingReason.INITIALIZING, message, seen.now, fresh=True)
        )
    if sub is not None and is_same_revision(seen):
        return _freed(seen) or _tidied(seen) or _refreshed(seen)
    if is_unheld(seen):
        return _hold(seen)
    if not state.settled:
        return stay(seen)  # which pods are of which revision is not known yet
    status = with_sub(seen, fresh_sub(seen, completed=True))
    if sub is None or not sub.updated_revision:
        return move(seen, replace(status, message="workload deployment is completed"))
    told = f"revision {state.update_revision} is taken over without steps: {_why_no_steps(seen)}"
    return move(seen, status, notes=tell(seen, told, reason="ReleasedWithoutSteps", type_="Warning"))


def _freed(seen: RolloutSnapshot) -> Out | None:
    """A BatchRelease was removed by force, or claimed the workload when its end was decided elsewhere."""
    if not seen.is_orphaned:
        return None
    assert seen.workload is not None
    writes = give_back(seen.workload, Ending.RESUMED) or ()
    told = "the workload was still held for a BatchRelease that is no more; it is given back"
    notes = tell(seen, told, reason="Reclaimed", type_="Warning") if writes else ()
    return replace(stay(seen, *writes), notes=notes)


def _tidied(seen: RolloutSnapshot) -> Out | None:
    """A release's BatchRelease although there is no release: a status written by hand has led here in the middle of one.

    If it was told to finish, it does, and goes. If it, or what it has left, still holds the workload, the release
    goes on: only people may let it out of its steps.
    """
    release = seen.own_release
    if release is None or release.metadata.deletion_timestamp is not None:
        return None
    assert seen.workload is not None
    is_over = release.status.phase == ReleasePhase.COMPLETED
    if not is_over and release.spec.release_plan.batch_partition is None:
        return stay(seen)
    if is_over and not seen.workload.state.is_held:
        return stay(seen, Delete(seen.release_ref, uid=release.metadata.uid))
    return unmarked(seen)


def is_unheld(seen: RolloutSnapshot) -> bool:
    """A new revision is on its way that admission did not hold: it was away, or the Rollout came later."""
    assert seen.workload is not None
    state = seen.workload.state
    other = state.stable_revision not in ("", state.pod_template_hash)  # pods of another revision are wanted
    return other and state.replicas > 0 and not (state.settled and state.total <= state.updated)


def _hold(seen: RolloutSnapshot) -> Out:
    assert seen.workload is not None
    writes = seen.workload.hold(seen.rollout.metadata.name, seen.status.taken_back_to)
    told = (
        f"revision {seen.workload.state.update_revision} was applied while nothing held it back; "
        "it is held now and released step by step"
    )
    return replace(
        stay(seen, *writes), notes=tell(seen, told, reason="Held", type_="Warning") if writes else ()
    )


def _why_no_steps(seen: RolloutSnapshot) -> str:
    assert seen.workload is not None
    if seen.workload.state.replicas == 0:
        return "the workload has no pods"
    return "its pods were replaced while nothing held them back"


def _refreshed(seen: RolloutSnapshot) -> Out:
    """Healthy, and nothing new: a new plan or another id is noted."""
    sub, steps = seen.sub, len(seen.steps)
    current = replace(
        sub,
        rollout_hash=plan_hash(seen),
        observed_rollout_id=rollout_id(seen),
        current_step_index=steps,
        next_step_index=-1,
        current_step_state=StepState.COMPLETED,
    )
    assert seen.workload is not None
    state = seen.workload.state
    if sub.current_step_state != StepState.COMPLETED and state.settled:  # broken off, and given back since
        current = replace(current, updated_replicas=state.updated, updated_ready_replicas=state.updated_ready)
    return stay(seen) if current == sub else move(seen, with_sub(seen, current))


def _progressing(seen: RolloutSnapshot) -> Out:
    return progress(seen)


def _enabled(seen: RolloutSnapshot) -> Out:
    # The release that was broken off left it as it was.
    conditions = without(seen.status.conditions, ConditionType.PROGRESSING)
    status = replace(seen.status, phase=P.HEALTHY, message=HEALTHY_MESSAGE, conditions=conditions)
    return move(seen, status, notes=_tell_switched(seen, P.HEALTHY))


def _undeleted(seen: RolloutSnapshot) -> Out:
    # Deletion cannot be taken back; only a hand-edited status gets here.
    return move(seen, replace(seen.status, phase=P.INITIAL))


class Row(Struct, frozen=True):
    """A phase: what it does, and the phases it may lead to."""

    take: Callable[[RolloutSnapshot], Out]
    to: tuple[RolloutPhase, ...]


CASES: tuple[Case, ...] = (
    _of_another_style,
    _deleted,
    _not_adopted,
    _disabled,
    _without_workload,
    _stalled,
    _by_phase,
)
# What the cases do to any phase, for people to see in docs/states: (when, from, to); "" is any.
ARROWS: tuple[tuple[str, str, RolloutPhase], ...] = (
    ("deleted", "", P.TERMINATING),
    ("workload gone", "", P.INITIAL),
    ("disabled while a release stands", P.PROGRESSING, P.DISABLING),
    ("given back", P.DISABLING, P.DISABLED),
    ("enabled again before that", P.DISABLING, P.PROGRESSING),
    ("disabled", P.INITIAL, P.DISABLED),
    ("disabled", P.HEALTHY, P.DISABLED),
)
PHASES: dict[str, Row] = {
    "": Row(_initial, (P.HEALTHY,)),
    P.INITIAL: Row(_initial, (P.HEALTHY,)),
    P.HEALTHY: Row(_healthy, (P.PROGRESSING,)),
    P.PROGRESSING: Row(_progressing, (P.HEALTHY,)),
    P.DISABLED: Row(_enabled, (P.HEALTHY,)),
    P.TERMINATING: Row(_undeleted, ()),
}
