"""Workers: take keys from a queue, fold each with its controller, plan the next look, survive what goes wrong.

One bad key never stops others: whatever a fold raises is counted, logged, and the key retried with back-off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

from kruise_rollouts.kube.effects import Note
from kruise_rollouts.kube.errors import ApiError, BadRequest, Conflict, Forbidden, Invalid, shortened
from kruise_rollouts.kube.protocols import Clock

from .apply import in_order
from .clock import cancelled, within
from .controller import Apply, Controller, Key, Tell, fold
from .journal import Journal
from .log import log_of
from .queue import Closed, WorkQueue

log = log_of(__name__)

CONFLICTS_AT_ONCE = 5  # then with back-off: somebody writes faster than we decide
RECONCILE_SECONDS = 120.0

WorldT = TypeVar("WorldT")
SeenT = TypeVar("SeenT")
StatusT = TypeVar("StatusT")
Refused: TypeAlias = Callable[[Key, ApiError], Note | None]  # what to tell people of a refused write


class Meter(Protocol):
    """Counts reconciles."""

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None:
        """`outcome`: ok, conflict, refused (ApiError), timeout or bug."""
        ...


class NoMeter:
    """Counts nothing."""

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None:
        return


class Loop(Generic[WorldT, SeenT, StatusT]):
    """One controller with its queue and workers. Feed it by `loop.queue.add(key)`."""

    def __init__(
        self,
        controller: Controller[WorldT, SeenT, StatusT],
        world: WorldT,
        *,
        apply: Apply,
        tell: Tell,
        clock: Clock,
        workers: int = 3,
        meter: Meter | None = None,
        refused: Refused | None = None,
        queue: WorkQueue | None = None,
        reconcile_seconds: float = RECONCILE_SECONDS,
        journal: Journal[SeenT, StatusT] | None = None,
    ) -> None:
        self.name = controller.name
        self.queue = queue or WorkQueue(clock, name=controller.name)
        self._workers = workers
        self._clock = clock
        self._meter = meter or NoMeter()
        self._refused = refused
        self._tell = tell
        self._limit = reconcile_seconds

        async def run_once(key: Key, said: set[Note]) -> datetime | None:
            return await fold(
                controller,
                key,
                world,
                apply=apply,
                tell=tell,
                clock=clock,
                apply_all=partial(in_order, apply),
                journal=journal,
                said=said,
            )

        self._fold = run_once
        self._said: dict[Key, set[Note]] = {}  # in folds that failed after it, until one succeeds

    async def run(self) -> None:
        """Works until the queue is closed and the keys in hand are finished, or until cancelled."""
        tasks = [asyncio.ensure_future(self._work()) for _ in range(self._workers)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await cancelled(*tasks)

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except Closed:
                return
            try:
                await self.reconcile(key)
            finally:
                self.queue.done(key)

    async def reconcile(self, key: Key) -> None:
        """Folds `key` once and plans what comes next. Raises nothing but cancellation."""
        started = self._clock.mono()
        outcome = "ok"
        try:
            wake_at = await self._settle(key)
        except Exception as error:  # noqa: BLE001  a fault in one key must not reach the others
            at_least = error.retry_after or 0.0 if isinstance(error, ApiError) else 0.0
            delay = self.queue.retry(key, at_least=at_least)
            outcome = _outcome(error)
            self._explain(key, error)
            _report(self.name, key, error, delay, outcome)
        else:
            self.queue.forget(key)
            if wake_at is not None:
                self.queue.add_at(key, wake_at)
        self._meter.reconciled(self.name, outcome, self._clock.mono() - started)

    def _explain(self, key: Key, error: Exception) -> None:
        """Tells people of a refusal that trying again will not cure: a missing right, an object that is not valid."""
        if self._refused is not None and isinstance(error, Forbidden | Invalid | BadRequest):
            note = self._refused(key, error)
            if note is not None:
                self._tell(note)

    async def _settle(self, key: Key) -> datetime | None:
        """Folds until no Conflict is in the way; a Conflict leaves the fresh object in the cache."""
        for _ in range(CONFLICTS_AT_ONCE):
            try:
                return await self._fold_once(key)
            except Conflict as conflict:
                log.debug("conflict, deciding again", controller=self.name, key=key, why=conflict.message)
        return await self._fold_once(key)

    async def _fold_once(self, key: Key) -> datetime | None:
        """One fold. What it tells and an earlier one told before it failed is the same thing decided again."""
        said = self._said.pop(key, set())
        try:
            return await within(self._clock, self._limit, self._fold(key, said))
        except BaseException:
            if said:
                self._said[key] = said
            raise


def _outcome(error: Exception) -> str:
    match error:
        case Conflict():
            return "conflict"
        case ApiError():
            return "refused"
        case TimeoutError():
            return "timeout"
        case _:
            return "bug"


def _report(name: str, key: Key, error: Exception, delay: float, outcome: str) -> None:
    about = log.bind(controller=name, namespace=key[0], name=key[1], retry_seconds=round(delay, 3))
    if outcome == "bug":
        about.error("reconcile failed", bug=error)
    else:
        about.warning("reconcile will be retried", error=shortened(str(error)))
