"""The work queue: which keys to reconcile next, each by one worker at a time.

A key waits in one of two lanes (changes before initial lists and resyncs), or for a time. It knows nothing of
what a key means.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from datetime import datetime
from random import Random

from kruise_rollouts.kube.protocols import Clock

from .controller import Key

BACKOFF_FIRST_SECONDS = 0.005
BACKOFF_CAP_SECONDS = 10.0  # a recovered API server must not find us asleep for minutes
LOW_TURN = 8  # every so many keys one comes from the low lane, however busy the other is


class Closed(Exception):
    """The queue was closed: no more keys."""


class WorkQueue:
    """Deduplicates keys; never hands one key to two workers; a key added while worked on is run once more."""

    def __init__(self, clock: Clock, *, name: str = "", rng: Random | None = None) -> None:
        self.name = name
        self._clock = clock
        self._rng = rng or Random()
        self._lanes: tuple[OrderedDict[Key, None], OrderedDict[Key, None]] = (OrderedDict(), OrderedDict())
        self._working: set[Key] = set()
        self._again: dict[Key, bool] = {}  # added while worked on -> low
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}  # mono seconds; the earliest wish wins
        self._heap: list[tuple[float, Key]] = []
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = 0.0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._resting = asyncio.Event()
        self._resting.set()
        self._closed = False
        self._turn = 0

    def __len__(self) -> int:
        """Keys ready to be worked on, not counting those being worked on or waiting for a time."""
        return len(self._lanes[0]) + len(self._lanes[1])

    @property
    def working(self) -> int:
        """Keys being worked on."""
        return len(self._working)

    def add(self, key: Key, *, low: bool = False) -> None:
        """Run `key` soon; `low`: after those that are not low. Nothing happens if it is already waiting."""
        if self._closed:
            return
        if key in self._working:
            self._again[key] = self._again.get(key, True) and low
            return
        if key in self._due and not low:  # something has changed meanwhile: the next failure is a first one
            self._failures.pop(key, None)
        high, lower = self._lanes
        if key in high:
            return
        if low:
            if key in lower:
                return
            lower[key] = None
        else:
            lower.pop(key, None)
            high[key] = None
        self._resting.clear()
        self._wake_one()

    def add_at(self, key: Key, when: datetime) -> None:
        """Run `key` at `when` (at once if past). Of several wishes the earliest wins; a run fulfils them all."""
        self.add_after(key, (when - self._clock.now()).total_seconds())

    def add_after(self, key: Key, seconds: float) -> None:
        """Run `key` in `seconds`; see add_at."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.mono() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        self._set_timer()

    def retry(self, key: Key, *, at_least: float = 0.0) -> float:
        """Run `key` again after its back-off, which doubles with each failure; the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay: float = min(BACKOFF_CAP_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(failures, 20))
        delay = max(delay * self._rng.uniform(0.8, 1.0), at_least)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """`key` did well: its next failure starts at the shortest back-off."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key, now being worked on until done(key). Raises Closed when the queue is closed."""
        while True:
            if self._closed:
                raise Closed(self.name)
            if len(self):
                break
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = None
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled() and len(self):
                    self._wake_one()  # we were woken and leave: somebody else must take the key
                raise
            finally:
                self._waiting.pop(future, None)
        key = self._take()
        self._working.add(key)
        self._due.pop(key, None)  # this run plans anew
        return key

    def done(self, key: Key) -> None:
        """The worker of `key` has finished, well or not."""
        self._working.discard(key)
        low = self._again.pop(key, None)
        if low is not None and not self._closed:
            self.add(key, low=low)
        elif not self._working and not len(self):
            self._resting.set()

    async def rest(self) -> None:
        """Returns when no key is ready or being worked on. Keys waiting for a time do not count."""
        await self._resting.wait()

    def close(self) -> None:
        """Hands out no more keys; those being worked on may be finished. Nothing can be added any more."""
        self._closed = True
        for lane in self._lanes:
            lane.clear()
        self._again.clear()
        self._due.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            future, _ = self._waiting.popitem(last=False)
            if not future.done():
                future.set_result(None)
        if not self._working:
            self._resting.set()

    def _take(self) -> Key:
        high, low = self._lanes
        self._turn += 1
        lane = low if low and (not high or self._turn % LOW_TURN == 0) else high
        return lane.popitem(last=False)[0]

    def _wake_one(self) -> None:
        while self._waiting:
            future, _ = self._waiting.popitem(last=False)
            if not future.done():
                future.set_result(None)
                return

    def _set_timer(self) -> None:
        """Makes the timer task sleep until the earliest due key."""
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().create_task(self._ring(due))

    async def _ring(self, due: float) -> None:
        await self._clock.sleep(due - self._clock.mono())
        self._timer = None
        now = self._clock.mono()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:  # else an earlier wish, or a run, has overtaken this one
                del self._due[key]
                self.add(key)
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap:
            self._set_timer()
