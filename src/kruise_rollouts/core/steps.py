"""The steps of a release: what each step state does, one table of states, handlers and where they lead.

A handler makes at most one transition; the fold loop calls again with what it decided. Rollback, new revisions,
pauses, plan changes and jumps come first and are in rolling.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.keys import EventReason, ProgressingReason, StepState
from kruise_rollouts.core.child_release import align, has_reached, mirrored
from kruise_rollouts.core.outcomes import (
    Out,
    move,
    natural_next,
    pods_of,
    stay,
    tell,
    tell_rollout,
    with_progress,
    with_step,
    with_sub,
)
from kruise_rollouts.core.rejected import forget, held_message
from kruise_rollouts.core.snapshot import Reason, RolloutSnapshot
from kruise_rollouts.core.stuck import troubles
from kruise_rollouts.core.tasks import todo
from kruise_rollouts.kube.effects import Note

S = StepState
ASKED = ", the step asks for "


def take_step(seen: RolloutSnapshot) -> Out:
    """What the current state of the current step does next."""
    row = STEPS.get(seen.sub.current_step_state)
    if row is None:
        return _unknown(seen)
    return row.take(seen)


def _unknown(seen: RolloutSnapshot) -> Out:
    state = seen.sub.current_step_state
    told = f"currentStepState {state!r} is not a state; step {seen.sub.current_step_index} begins again"
    status = with_step(seen, current_step_state=S.BEFORE_UPGRADE, last_update_time=seen.now)
    return move(seen, status, notes=tell(seen, told, reason=EventReason.STATUS_INVALID, type_="Warning"))


def _before_upgrade(seen: RolloutSnapshot) -> Out:
    assert seen.strategy is not None
    for task in seen.strategy.before_upgrade(seen):
        if (lacking := todo(task, seen, Reason.SUCCESS)) is not None:
            return stay(seen, *lacking.writes)
    status = with_step(seen, current_step_state=S.UPGRADE, last_update_time=seen.now)
    return move(seen, replace(status, message=f"{where(seen)}, and upgrade workload to new version"))


def where(seen: RolloutSnapshot) -> str:
    return f"Rollout is in step({seen.sub.current_step_index}/{len(seen.steps)})"


def _upgrade(seen: RolloutSnapshot) -> Out:
    upgrading = f"{where(seen)}, and upgrade workload to new version"
    if (lacking := align(seen)) is not None:
        message = upgrading if lacking.writes else f"{upgrading}: waiting for {lacking.waits_for}"
        return stay(seen, *lacking.writes, message=message)
    release = seen.own_release
    assert release is not None and seen.strategy is not None and seen.workload is not None
    if not has_reached(release, seen.sub.current_step_index):
        words = release.status.message
        waiting = stay(seen, message=f"{upgrading}: {words}" if words else upgrading)
        if not troubles(words) or troubles(seen.status.message):
            return waiting
        told = f"step {seen.sub.current_step_index}/{len(seen.steps)} is stuck: {words}"
        return replace(waiting, notes=tell(seen, told, reason="StepStuck", type_="Warning"))
    sub = replace(
        mirrored(seen.sub, release, complete=True),
        current_step_state=S.METRICS_ANALYSIS if seen.strategy.skips_traffic(seen) else S.TRAFFIC_ROUTING,
        pod_template_hash=seen.workload.state.pod_template_hash,
        last_update_time=seen.now,
    )
    return move(seen, with_sub(seen, sub))


def _traffic_routing(seen: RolloutSnapshot) -> Out:
    # Splitting traffic is the work of a provider; without one this state is passed through.
    return move(seen, with_step(seen, current_step_state=S.METRICS_ANALYSIS, last_update_time=seen.now))


def _metrics_analysis(seen: RolloutSnapshot) -> Out:
    status = with_step(seen, current_step_state=S.PAUSED)
    return move(seen, status, notes=() if _passes_by_itself(seen) else _reached(seen))


def _reached(seen: RolloutSnapshot) -> tuple[Note, ...]:
    sub, meta = seen.sub, seen.rollout.metadata
    ready = sub.updated_ready_replicas
    pods = f"{pods_of(ready)} of revision {sub.updated_revision} {'is' if ready == 1 else 'are'} ready"
    if seen.step.pause.duration is not None:
        then = f"the next step begins in {seen.step.pause.duration}s"
    else:
        then = f"go on with: kubectl kruise rollout approve rollout/{meta.name} -n {meta.namespace}"
    return tell(seen, f"step {sub.current_step_index}/{len(seen.steps)} done, {pods}; {then}")


def _passes_by_itself(seen: RolloutSnapshot) -> bool:
    assert seen.strategy is not None
    return seen.sub.current_step_index == len(seen.steps) and seen.strategy.passes_last(seen.step)


def _paused(seen: RolloutSnapshot) -> Out:
    if seen.sub.current_step_index == 0:
        return _warned(seen, stay(seen, message=f"{held_message(seen)}{_beyond(seen)}"))
    if _passes_by_itself(seen):
        return move(seen, with_step(seen, current_step_state=S.READY, last_update_time=seen.now))
    duration = seen.step.pause.duration
    if duration is None:
        message = f"{where(seen)}, and you need manually confirm to enter the next step{_beyond(seen)}"
        return _warned(seen, stay(seen, message=message))
    message = f"{where(seen)}, and wait duration({duration} seconds) to enter the next step{_beyond(seen)}"
    since = seen.sub.last_update_time
    # Since later than now: somebody has set the clock back, and who knows how long it lasts already.
    if since is None or since > seen.now:
        return move(seen, replace(with_step(seen, last_update_time=seen.now), message=message))
    due = since + timedelta(seconds=duration)
    if seen.now < due:
        return _warned(seen, stay(seen, message=message, wake_at=due))
    return move(seen, with_step(seen, current_step_state=S.READY, last_update_time=seen.now))


def _warned(seen: RolloutSnapshot, out: Out) -> Out:
    """`out`, with a word on pods beyond the step when they come; a person may have to act."""
    told = _beyond(seen).removeprefix("; ")
    if not told or ASKED in seen.status.message:
        return out
    return replace(out, notes=(*out.notes, *tell(seen, told, reason="BeyondStep", type_="Warning")))


def _beyond(seen: RolloutSnapshot) -> str:
    """That more pods are new than the step asks for, which nothing takes back.

    After a jump back; or after a scale to 0, from where the Deployment controller starts new pods only.
    """
    assert seen.workload is not None
    asked, new = 0, seen.workload.state.updated  # at step 0 nobody counts for us
    if seen.sub.current_step_index > 0:
        asked, new = seen.workload.planned(seen.step.replicas or 0), seen.sub.updated_replicas
    if new <= asked or seen.workload.state.replicas == 0:
        return ""
    return f"; {new} of {pods_of(seen.workload.state.replicas)} are new{ASKED}{asked}"


def _ready(seen: RolloutSnapshot) -> Out:
    index, last = seen.sub.current_step_index, len(seen.steps)
    if index >= last:
        return move(seen, with_step(seen, current_step_state=S.COMPLETED, last_update_time=seen.now))
    return replace(enter(seen, index + 1, S.BEFORE_UPGRADE), notes=_begins(seen, index + 1))


def _begins(seen: RolloutSnapshot, index: int) -> tuple[Note, ...]:
    """Words on step `index`, which follows the current one, and whether a person has let it begin."""
    assert seen.workload is not None
    wants = seen.workload.planned(seen.steps[index - 1].replicas or 0)
    # The mirror is as we last decided it: a person has written the sub-status only.
    why = "" if seen.status.current_step_state == S.READY else ", as approved"
    of = pods_of(seen.workload.state.replicas)
    return tell_rollout(seen, f"step {index}/{len(seen.steps)} begins{why}: it wants {wants} of {of}")


def approved_too_early(seen: RolloutSnapshot) -> Out | None:
    """Most likely a second approval of the step before: it must not skip this one.

    Comes before every other case: their decisions are stored in the fields that this one reads.
    """
    index, meta = seen.sub.current_step_index, seen.rollout.metadata
    before = seen.status.current_step_state  # as we last wrote it: a person writes the sub-status only
    begun = before in (S.BEFORE_UPGRADE, S.UPGRADE) and seen.status.current_step_index == index
    if seen.sub.current_step_state != S.READY or not begun or _is_met(seen, index):
        return None
    told = (
        f"an approval came before the pods of step {index}/{len(seen.steps)} were ready, and is ignored; "
        f"to skip the step: kubectl kruise rollout jump rollout/{meta.name} -n {meta.namespace} --to <step>"
    )
    return move(seen, with_step(seen, current_step_state=before), notes=tell(seen, told, type_="Warning"))


def _is_met(seen: RolloutSnapshot, index: int) -> bool:
    """Whether an approval means step `index`: its pods are ready, so its pause was about to be written.

    Or the approval was followed before: the BatchRelease may run further, and only the status is not stored yet.
    """
    release = seen.own_release
    if release is None:
        return False
    partition = release.spec.release_plan.batch_partition
    return partition is None or partition >= index or has_reached(release, index)


def enter(seen: RolloutSnapshot, index: int, state: StepState) -> Out:
    """Into step `index`, 1-based and one of the plan's. Leaving step 0 is what releases a rejected revision."""
    status = with_step(
        seen,
        current_step_index=index,
        next_step_index=natural_next(index, len(seen.steps)),
        current_step_state=state,
        last_update_time=seen.now,
    )
    return move(seen, status, *(forget(seen) if seen.sub.current_step_index == 0 else ()))


def _completed(seen: RolloutSnapshot) -> Out:
    message = "Rollout has been completed and some closing work is being done"
    told = f"all {len(seen.steps)} steps of revision {seen.sub.updated_revision} are done; the workload is given back"
    return move(
        seen,
        with_progress(seen.status, ProgressingReason.FINALISING, message, seen.now),
        notes=tell_rollout(seen, told, reason=EventReason.FINALISING),
    )


class Row(Struct, frozen=True):
    """One state: what it does, and the states it may lead to by itself."""

    take: Callable[[RolloutSnapshot], Out]
    to: tuple[StepState, ...]


STEPS: dict[str, Row] = {
    S.BEFORE_UPGRADE: Row(_before_upgrade, (S.UPGRADE,)),
    S.UPGRADE: Row(_upgrade, (S.TRAFFIC_ROUTING, S.METRICS_ANALYSIS)),
    S.TRAFFIC_ROUTING: Row(_traffic_routing, (S.METRICS_ANALYSIS,)),
    S.METRICS_ANALYSIS: Row(_metrics_analysis, (S.PAUSED,)),
    S.PAUSED: Row(_paused, (S.READY,)),
    S.READY: Row(_ready, (S.BEFORE_UPGRADE, S.COMPLETED)),
    S.COMPLETED: Row(_completed, ()),
}
