"""What people change in the middle of a release: the plan, and the step to go on with.

Cases of rolling.py, which says when they are looked at; the steps themselves are steps.py.
"""

from __future__ import annotations

from msgspec.structs import replace

from kruise_rollouts.api.hashes import rollout_hash
from kruise_rollouts.api.keys import ConditionType, ProgressingReason, StepState
from kruise_rollouts.api.rollouts_v1beta1 import Condition, RolloutStatus
from kruise_rollouts.core.conditions import set_condition
from kruise_rollouts.core.outcomes import Out, move, natural_next, seen_with, tell, with_step
from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.core.steps import enter


def plan_hash(seen: RolloutSnapshot) -> str:
    """The hash of the plan as it is now; "" without a strategy."""
    strategy = seen.rollout.spec.strategy.active
    return rollout_hash(strategy) if strategy is not None else ""


def plan_changed(seen: RolloutSnapshot) -> Out | None:
    wanted, sub = plan_hash(seen), seen.sub
    if sub.rollout_hash == wanted:
        return None
    if not sub.rollout_hash or sub.current_step_index == 0:
        return move(seen, with_step(seen, rollout_hash=wanted))
    target = replanned(seen)
    if _would_promote(seen, target):
        target = sub.current_step_index
    told = tell(seen, f"the plan was changed; going on with step {target} of {len(seen.steps)}")
    taken = seen_with(seen, with_step(seen, rollout_hash=wanted, last_update_time=seen.now))
    if target == sub.next_step_index:
        status = with_step(taken, current_step_state=StepState.READY)
        return replace(move(seen, status), notes=told)
    return replace(_land(taken, target), notes=told)


def replanned(seen: RolloutSnapshot) -> int:
    """The step of the changed plan that fits the pods already asked for, 1-based."""
    assert seen.workload is not None
    asked = _asked(seen)
    if asked is None:
        return 1
    count, current = len(seen.steps), seen.sub.current_step_index
    order = [current] if 1 <= current <= count else []
    order += [i for i in range(1, count + 1) if i != current]
    fitting = (i for i in order if seen.workload.planned(seen.steps[i - 1].replicas or 0) >= asked)
    return next(fitting, order[-1])


def step_so_far(seen: RolloutSnapshot) -> int:
    """The step, 1-based, to which the pods already asked for have come; the first if there are none."""
    assert seen.workload is not None
    asked, found = _asked(seen), replanned(seen)
    if asked is None or found == 1:
        return 1
    return found - 1 if seen.workload.planned(seen.steps[found - 1].replicas or 0) > asked else found


def _would_promote(seen: RolloutSnapshot, target: int) -> bool:
    """To go on with `target` would give the new revision more pods than were asked for, past a pause that is not over.

    The step in progress has become smaller. Its pods stay, and it is run again, pause and all.
    """
    assert seen.workload is not None
    asked, sub = _asked(seen), seen.sub
    if asked is None or sub.current_step_state == StepState.READY or not 1 <= sub.current_step_index < target:
        return False
    return seen.workload.planned(seen.steps[target - 1].replicas or 0) > asked


def _asked(seen: RolloutSnapshot) -> int | None:
    """Pods of the new revision that the BatchRelease asks for; None if it asks for none or too much."""
    if seen.own_release is None or seen.workload is None:
        return None
    plan = seen.own_release.spec.release_plan
    if plan.batch_partition is None or not 0 <= plan.batch_partition < len(plan.batches):
        return None
    return seen.workload.planned(plan.batches[plan.batch_partition].canary_replicas)


def jumped(seen: RolloutSnapshot) -> Out | None:
    sub, last = seen.sub, len(seen.steps)
    natural = natural_next(sub.current_step_index, last)
    if sub.next_step_index == natural or sub.current_step_state == StepState.COMPLETED:
        return None
    target = sub.next_step_index
    if 1 <= target <= last:
        told = f"jump from step {sub.current_step_index} to step {target} of {last}"
        return replace(_land(seen, target), notes=tell(seen, told))
    told = f"nextStepIndex {target} is ignored: the plan has the steps 1 to {last}"
    status = with_advice(with_step(seen, next_step_index=natural), told, seen)
    return move(seen, status, notes=tell(seen, told, type_="Warning"))


def _land(seen: RolloutSnapshot, target: int) -> Out:
    assert seen.workload is not None
    there = seen.workload.planned(seen.steps[target - 1].replicas or 0) == seen.sub.updated_replicas
    begun = seen.sub.current_step_index > 0
    return enter(seen, target, StepState.TRAFFIC_ROUTING if there and begun else StepState.BEFORE_UPGRADE)


def with_advice(status: RolloutStatus, told: str, seen: RolloutSnapshot) -> RolloutStatus:
    """`told` on the condition Progressing, where it stays: a step's own words soon replace status.message."""
    condition = Condition(
        type=ConditionType.PROGRESSING, status="True", reason=ProgressingReason.IN_ROLLING, message=told
    )
    return replace(status, conditions=set_condition(status.conditions, condition, seen.now))
