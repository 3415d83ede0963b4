"""The work queue against a model, and its promises one by one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from virtual import virtually

from kruise_rollouts.runtime.clock import LoopClock, VirtualLoop
from kruise_rollouts.runtime.queue import BACKOFF_CAP_SECONDS, Closed, WorkQueue

KEYS = [("ns", name) for name in "abcd"]
A, B, C, D = KEYS
a_key = st.sampled_from(KEYS)


class QueueMachine(RuleBasedStateMachine):
    """Model: which keys are wanted now, which are in hand, which are due when."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        asyncio.set_event_loop(None)
        self.clock = LoopClock()
        self.queue = WorkQueue(self.clock)
        self.wanted: set[tuple[str, str]] = set()
        self.again: set[tuple[str, str]] = set()
        self.in_hand: set[tuple[str, str]] = set()
        self.due: dict[tuple[str, str], float] = {}

    def do(self, function):
        async def main():
            result = function()
            if asyncio.iscoroutine(result):
                result = await result
            await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(main())

    def want(self, key) -> None:
        (self.again if key in self.in_hand else self.wanted).add(key)

    @rule(key=a_key, low=st.booleans())
    def add(self, key, low) -> None:
        self.do(lambda: self.queue.add(key, low=low))
        self.want(key)

    @rule(key=a_key, seconds=st.sampled_from([-1, 0.5, 1, 5, 30]))
    def add_after(self, key, seconds) -> None:
        now = self.loop.time()
        self.do(lambda: self.queue.add_at(key, self.clock.now() + timedelta(seconds=seconds)))
        if seconds <= 0:
            self.want(key)
        else:
            self.due[key] = min(now + seconds, self.due.get(key, now + seconds))

    @rule(seconds=st.sampled_from([0.25, 1, 4, 60]))
    def pass_time(self, seconds) -> None:
        self.do(lambda: asyncio.sleep(seconds))
        for key in [key for key, at in self.due.items() if at <= self.loop.time() + 1e-6]:
            del self.due[key]
            self.want(key)

    @precondition(lambda self: self.wanted)
    @rule()
    def get(self) -> None:
        key = self.do(lambda: asyncio.wait_for(self.queue.get(), 0.001))
        assert key in self.wanted and key not in self.in_hand
        self.wanted.discard(key)
        self.in_hand.add(key)
        self.due.pop(key, None)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def done(self, data) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.do(lambda: self.queue.done(key))
        self.in_hand.discard(key)
        if key in self.again:
            self.again.discard(key)
            self.wanted.add(key)

    @invariant()
    def the_queue_holds_what_is_wanted(self) -> None:
        assert len(self.queue) == len(self.wanted)
        assert self.queue.working == len(self.in_hand)

    def teardown(self) -> None:
        self.do(self.queue.close)
        self.loop.close()


TestQueueAgainstAModel = QueueMachine.TestCase
TestQueueAgainstAModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@virtually
async def test_changes_go_before_what_is_low_but_low_keys_do_not_starve() -> None:
    queue = WorkQueue(LoopClock())
    queue.add(A, low=True)
    order = []
    for turn in range(20):
        queue.add(("busy", str(turn)))
        key = await queue.get()
        order.append(key)
        queue.done(key)
    assert order[0] != A
    assert A in order


@virtually
async def test_a_low_key_that_changes_is_no_longer_low() -> None:
    queue = WorkQueue(LoopClock())
    for key in (A, B):
        queue.add(key, low=True)
    queue.add(B)
    assert await queue.get() == B
    assert len(queue) == 1


@virtually
async def test_back_off_doubles_up_to_its_cap_and_starts_anew_once_forgotten() -> None:
    queue = WorkQueue(LoopClock())
    delays = [queue.retry(A) for _ in range(30)]
    assert delays[0] < 0.01
    assert max(delays) <= BACKOFF_CAP_SECONDS
    assert delays[-1] > BACKOFF_CAP_SECONDS / 2
    queue.forget(A)
    assert queue.retry(A) < 0.01


@virtually
async def test_a_change_does_not_wait_for_the_back_off() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    for _ in range(20):
        queue.retry(A)
    queue.add(A)
    assert await queue.get() == A
    assert clock.mono() == 0


@virtually
async def test_a_failure_after_a_change_is_a_first_failure_again() -> None:
    """S46."""
    queue = WorkQueue(LoopClock())
    for _ in range(20):
        queue.retry(A)
    queue.add(A)
    assert await queue.get() == A
    assert queue.retry(A) < 0.01


@virtually
async def test_waking_up_from_the_back_off_is_no_change() -> None:
    queue = WorkQueue(LoopClock())
    for _ in range(12):
        delay = queue.retry(A)
        assert await queue.get() == A
        queue.done(A)
    assert delay > BACKOFF_CAP_SECONDS / 2


@virtually
async def test_a_server_that_says_when_is_not_asked_before() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    queue.retry(A, at_least=3)
    await queue.get()
    assert clock.mono() == pytest.approx(3)


@virtually
async def test_a_run_fulfils_earlier_plans_for_the_same_key() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    queue.add_after(A, 5)
    queue.add(A)
    queue.done(await queue.get())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 60)


@virtually
async def test_of_several_plans_for_a_key_the_earliest_wins() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    for seconds in (30, 5, 60):
        queue.add_after(A, seconds)
    await queue.get()
    assert clock.mono() == 5


@virtually
async def test_a_cancelled_worker_does_not_swallow_the_key_it_was_woken_for() -> None:
    queue = WorkQueue(LoopClock())
    first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add(A)
    first.cancel()
    assert await asyncio.wait_for(second, 1) == A


@virtually
async def test_a_closed_queue_hands_out_nothing_and_takes_nothing() -> None:
    queue = WorkQueue(LoopClock())
    queue.add(A)
    key = await queue.get()
    waiting = asyncio.ensure_future(queue.get())
    queue.add(B)
    queue.add_after(C, 1)
    await asyncio.sleep(0)
    await waiting
    queue.add(D)
    queue.close()
    with pytest.raises(Closed):
        await queue.get()
    assert len(queue) == 0
    queue.done(key)
    queue.done(B)
    await asyncio.wait_for(queue.rest(), 1)
