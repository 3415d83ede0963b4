"""How the outcome of a decision about a Rollout is put together: stay, move, tell.

Which outcome it is, is decided in rollout.py, rolling.py, steps.py and finalise.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec.structs import replace

from kruise_rollouts.api.keys import ConditionType, EventReason, ProgressingReason
from kruise_rollouts.api.rollouts_v1beta1 import Condition, RolloutStatus
from kruise_rollouts.core.conditions import set_condition
from kruise_rollouts.core.snapshot import RolloutSnapshot, SubStatus
from kruise_rollouts.kube.effects import Decision, Json, Note, Write

Out: TypeAlias = Decision[RolloutStatus]


def stay(
    seen: RolloutSnapshot, *writes: Write, message: str | None = None, wake_at: datetime | None = None
) -> Out:
    """Where we are, with what is missing there. `message` None: as it was."""
    status = seen.status if message is None else replace(seen.status, message=message)
    return Decision(status, writes, wake_at)


def move(seen: RolloutSnapshot, status: RolloutStatus, *writes: Write, notes: tuple[Note, ...] = ()) -> Out:
    """A transition; the next decision sees it made."""
    return Decision(status, writes, notes=notes)


def seen_with(seen: RolloutSnapshot, status: RolloutStatus) -> RolloutSnapshot:
    """What the next decision will see once `status` is decided."""
    return replace(seen, rollout=replace(seen.rollout, status=status))


def with_sub(seen: RolloutSnapshot, sub: SubStatus | None) -> RolloutStatus:
    """The status with `sub` in place of the sub-status."""
    if seen.strategy is None:
        return seen.status
    return seen.strategy.with_sub(seen.status, sub)


def with_step(seen: RolloutSnapshot, **changes: Json) -> RolloutStatus:
    """The status with `changes` made to its sub-status."""
    return with_sub(seen, replace(seen.sub, **changes))


def with_progress(
    status: RolloutStatus, reason: ProgressingReason, message: str, now: datetime, *, fresh: bool = False
) -> RolloutStatus:
    """`status` with the condition Progressing at `reason`; its message is the status's message too."""
    done = reason is ProgressingReason.COMPLETED
    condition = Condition(
        type=ConditionType.PROGRESSING, status="False" if done else "True", reason=reason, message=message
    )
    conditions = set_condition(status.conditions, condition, now, fresh=fresh)
    return replace(status, conditions=conditions, message=message)


def natural_next(index: int, steps: int) -> int:
    """nextStepIndex that no person has touched: the step after `index`; -1 after the last."""
    return index + 1 if index < steps else -1


def pods_of(count: int) -> str:
    """A number of pods in words."""
    return "1 pod" if count == 1 else f"{count} pods"


def tell(
    seen: RolloutSnapshot,
    message: str,
    *,
    reason: str = EventReason.PROGRESSING,
    type_: Literal["Normal", "Warning"] = "Normal",
) -> tuple[Note, ...]:
    """The same words on the Rollout and on its workload: people look at either."""
    notes = tell_rollout(seen, message, reason=reason, type_=type_)
    if seen.workload is None:
        return notes
    return (*notes, Note(seen.workload.state.ref, reason, message, type_))


def tell_rollout(
    seen: RolloutSnapshot,
    message: str,
    *,
    reason: str = EventReason.PROGRESSING,
    type_: Literal["Normal", "Warning"] = "Normal",
) -> tuple[Note, ...]:
    """Words on the Rollout alone: what happens in every step costs a request for each object it is told of."""
    return (Note(seen.ref, reason, message, type_),)
