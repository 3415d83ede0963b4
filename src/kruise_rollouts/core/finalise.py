"""The end of a release: a strategy's tasks for a reason, in order, re-planned from what is seen each time.

finalisingStep tells people which task is in hand; nothing is read from it, so a controller that starts in the
middle, or a reason that changes half way (a rollback that is then deleted), skips nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from kruise_rollouts.core.outcomes import Out, seen_with, stay, with_sub
from kruise_rollouts.core.snapshot import HAND_BACK, Reason, RolloutSnapshot, Task
from kruise_rollouts.core.tasks import Todo, todo


def finalise(seen: RolloutSnapshot, reason: Reason) -> Out | None:
    """The next thing to do or to wait for; None when every task holds."""
    found = lacking(seen, reason)
    if found is None:
        return None
    task, what = found
    sub = seen.status.active
    if sub is None or sub.finalising_step == task:
        return stay(seen, *what.writes)
    changed = replace(sub, finalising_step=str(task), last_update_time=seen.now)
    return stay(seen_with(seen, with_sub(seen, changed)), *what.writes)


def lacking(seen: RolloutSnapshot, reason: Reason) -> tuple[Task, Todo] | None:
    """The first task for `reason` that does not hold, and what it lacks."""
    for task in seen.strategy.finalising[reason] if seen.strategy is not None else HAND_BACK:
        if (what := todo(task, seen, reason)) is not None:
            return task, what
    return None
