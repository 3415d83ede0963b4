"""The end of a release: a strategy's tasks for a reason, in order, re-planned from what is seen each time.

finalisingStep tells people which task is in hand; nothing is read from it, so a controller that starts in the
middle, or a reason that changes half way (a rollback that is then deleted), skips nothing.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from kruise_rollouts.core.batch_counts import REFRESH_SECONDS
from kruise_rollouts.core.outcomes import Out, seen_with, stay, with_sub
from kruise_rollouts.core.snapshot import HAND_BACK, Reason, RolloutSnapshot, Task
from kruise_rollouts.core.tasks import Todo, todo

WAITING = "; waiting for "


def finalise(seen: RolloutSnapshot, reason: Reason) -> Out | None:
    """The next thing to do or to wait for; None when every task holds. The message says what is waited for."""
    found = lacking(seen, reason)
    if found is None:
        return None
    task, what = found
    message = _base(seen, reason) + WAITING + what.waits_for
    sub = seen.status.active
    if sub is None or (sub.finalising_step == task and message == seen.status.message):
        return stay(seen, *what.writes, message=message)
    if sub.finalising_step == task and sub.last_update_time is not None:
        # A number in the words has changed: not worth a status write each time.
        due = sub.last_update_time + timedelta(seconds=REFRESH_SECONDS)
        if seen.now < due:
            return stay(seen, *what.writes, wake_at=due)
    changed = replace(sub, finalising_step=str(task), last_update_time=seen.now)
    return stay(seen_with(seen, with_sub(seen, changed)), *what.writes, message=message)


def _base(seen: RolloutSnapshot, reason: Reason) -> str:
    """What is being done; of an ending it is the message that it began with."""
    if reason is Reason.CONTINUOUS:
        return "A new revision is to be released"
    return seen.status.message.partition(WAITING)[0]


def lacking(seen: RolloutSnapshot, reason: Reason) -> tuple[Task, Todo] | None:
    """The first task for `reason` that does not hold, and what it lacks."""
    for task in seen.strategy.finalising[reason] if seen.strategy is not None else HAND_BACK:
        if (what := todo(task, seen, reason)) is not None:
            return task, what
    return None
