"""The fold loop: observe, decide, write, decide again on what came back, persist the status once.

One loop drives our controllers and the sandbox's built-in ones; neither rollouts nor pods are known here. A
controller keeps nothing between calls, so a crash at any write is followed by the same decision again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeAlias, TypeVar

from kruise_rollouts.kube.effects import Decision, JsonObject, Note, Write
from kruise_rollouts.kube.protocols import Clock

from .journal import Journal

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
    journal: Journal[SeenT, StatusT] | None = None,
    said: set[Note] | None = None,
) -> datetime | None:
    """Runs `key` until its decision waits. Returns when to look again, None to wait for an event.

    `apply` performs one write and makes its result visible in `world` before it returns, `apply_all` (None: each by
    `apply`, in order) all writes of one decision. `tell` is
    called for what has been done: of a decision with writes when they are made, of another when the status is stored.
    `said`: what was told of `key` already by folds that failed afterwards, not told again; added to. Raises what
    `apply` raises (the caller retries; Conflict means: observe again) and FoldLimit.
    """
    pending: StatusT | None = None
    telling = _Telling(tell, journal, set() if said is None else said)
    for _ in range(FOLD_LIMIT):
        seen = await controller.observe(key, world, clock.now(), pending)
        if seen is None:
            telling.release()
            return None
        decision = controller.decide(seen)
        await _make(decision.writes, apply, apply_all)
        telling.made(seen, decision)
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
    telling.release()
    if stored is not None and journal is not None:
        journal.stored(seen, decision.status)
    return decision.wake_at


async def _make(writes: Sequence[Write], apply: Apply, apply_all: ApplyAll | None) -> None:
    if apply_all is not None:
        await apply_all(writes)
        return
    for write in writes:
        await apply(write)


class _Telling(Generic[SeenT, StatusT]):
    """Tells of what was decided once it has been done."""

    def __init__(self, tell: Tell, journal: Journal[SeenT, StatusT] | None, said: set[Note]) -> None:
        self._tell = tell
        self._journal = journal
        self._said = said
        self._held: list[tuple[SeenT, StatusT, Sequence[Note]]] = []  # until the status is stored

    def made(self, seen: SeenT, decision: Decision[StatusT]) -> None:
        """The writes of `decision` are made, if it has any."""
        if not decision.writes:
            self._held.append((seen, decision.status, decision.notes))
            return
        if self._journal is not None:
            self._journal.wrote(seen, decision.status, decision.writes)
        # Whatever becomes of the writes after them: what they did is seen as done, and not decided a second time.
        self._say(seen, decision.status, decision.notes)

    def release(self) -> None:
        """The status is stored, or its object is gone."""
        for seen, status, notes in self._held:
            self._say(seen, status, notes)

    def _say(self, seen: SeenT, status: StatusT, notes: Sequence[Note]) -> None:
        new = [note for note in dict.fromkeys(notes) if note not in self._said]
        self._said.update(new)
        for note in new:
            self._tell(note)
        if new and self._journal is not None:
            self._journal.told(seen, status, new)
