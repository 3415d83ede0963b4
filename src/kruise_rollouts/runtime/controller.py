"""The fold loop: observe, decide, write, decide again on what came back, persist the status once.

One loop drives our controllers and the sandbox's built-in ones; neither rollouts nor pods are known here. A
controller keeps nothing between calls, so a crash at any write is followed by the same decision again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar

from kruise_rollouts.kube.effects import Decision, JsonObject, Note, Write
from kruise_rollouts.kube.protocols import Clock

Key: TypeAlias = tuple[str, str]  # namespace, name
Apply: TypeAlias = Callable[[Write], Awaitable[JsonObject | None]]
ApplyAll: TypeAlias = Callable[[Sequence[Write]], Awaitable[None]]
Tell: TypeAlias = Callable[[Note], None]

FOLD_LIMIT = 32  # decisions in one go; more means two decisions that undo each other

WorldT = TypeVar("WorldT", contravariant=True)
SeenT = TypeVar("SeenT")
StatusT = TypeVar("StatusT")


class Controller(Protocol[WorldT, SeenT, StatusT]):
    """What to look at, and what to make of it."""

    name: str

    async def observe(self, key: Key, world: WorldT, now: datetime, pending: StatusT | None) -> SeenT | None:
        """The frozen snapshot for `key`; None if there is nothing to decide (the object is gone).

        `pending` is the status decided earlier in this fold and not yet stored: the snapshot holds it in place
        of the stored one. None in the first round.
        """
        ...

    def decide(self, seen: SeenT) -> Decision[StatusT]:
        """Pure. Never raises for a state of the world."""
        ...

    def persist(self, seen: SeenT, status: StatusT) -> Write | None:
        """The write that stores `status`; None if the stored one already says so."""
        ...


class FoldLimit(Exception):
    """A controller kept deciding; the key is retried with back-off."""


async def fold(
    controller: Controller[WorldT, SeenT, StatusT],
    key: Key,
    world: WorldT,
    *,
    apply: Apply,
    tell: Tell,
    clock: Clock,
    apply_all: ApplyAll | None = None,
) -> datetime | None:
    """Runs `key` until its decision waits. Returns when to look again, None to wait for an event.

    `apply` performs one write and makes its result visible in `world` before it returns, `apply_all` (None: each by
    `apply`, in order) all writes of one decision. `tell` is
    called for what has been done: of a decision with writes when they are made, of another when the status is stored.
    Raises what `apply` raises (the caller retries; Conflict means: observe again) and FoldLimit. What was told before
    may then be decided, and told, again.
    """
    pending: StatusT | None = None
    held: list[Note] = []  # until the status that they tell of is stored
    for _ in range(FOLD_LIMIT):
        seen = await controller.observe(key, world, clock.now(), pending)
        if seen is None:
            _tell_all(held, tell)
            return None
        decision = controller.decide(seen)
        await _make(decision.writes, apply, apply_all)
        if decision.writes:
            # Whatever becomes of the writes after them: what they did is seen as done, and not decided a second time.
            _tell_all(decision.notes, tell)
        else:
            held += decision.notes
        if pending is None:
            settled = controller.persist(seen, decision.status) is None
        else:
            settled = decision.status == pending
        pending = decision.status
        due = decision.wake_at is not None and decision.wake_at <= clock.now()
        if settled and not decision.writes and not due:
            break
    else:
        raise FoldLimit(f"{controller.name} {key[0]}/{key[1]}: {FOLD_LIMIT} decisions without coming to rest")
    stored = controller.persist(seen, decision.status)
    if stored is not None:
        await apply(stored)
    _tell_all(held, tell)
    return decision.wake_at


async def _make(writes: Sequence[Write], apply: Apply, apply_all: ApplyAll | None) -> None:
    if apply_all is not None:
        await apply_all(writes)
        return
    for write in writes:
        await apply(write)


def _tell_all(notes: Sequence[Note], tell: Tell) -> None:
    for note in notes:
        tell(note)
