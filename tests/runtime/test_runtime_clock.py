"""Clocks: virtual time jumps, real threads stop it, deadlines hold."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from kruise_rollouts.runtime.clock import LoopClock, RateClock, Stuck, WallClock, run_virtual, within


def test_a_virtual_day_passes_at_once() -> None:
    async def main() -> timedelta:
        clock = LoopClock()
        start = clock.now()
        await clock.sleep(86_400)
        return clock.now() - start

    began = time.perf_counter()
    assert run_virtual(main()) == timedelta(days=1)
    assert time.perf_counter() - began < 1


def test_virtual_sleepers_wake_in_the_order_of_their_times() -> None:
    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await LoopClock().sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleeper(s) for s in (5, 1, 3)))
        return woken

    assert run_virtual(main()) == [1, 3, 5]


def test_virtual_time_begins_where_it_is_told() -> None:
    async def main() -> datetime:
        return LoopClock().now()

    start = datetime(2030, 5, 1, 12, tzinfo=UTC)
    assert run_virtual(main(), start) == start


def test_virtual_time_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        alarm = asyncio.ensure_future(LoopClock().sleep(10))
        await asyncio.to_thread(time.sleep, 0.02)
        now = LoopClock().mono()
        alarm.cancel()
        return now

    assert run_virtual(main()) == 0


def test_a_deadlock_on_virtual_time_is_told_instead_of_waited_for() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run_virtual(main())


def test_a_fast_clock_runs_at_its_rate() -> None:
    async def main() -> tuple[float, float]:
        clock, wall = RateClock(100), WallClock()
        fast, slow = clock.mono(), wall.mono()
        await clock.sleep(2)
        return clock.mono() - fast, wall.mono() - slow

    fast, slow = asyncio.run(main())
    assert fast >= 2
    assert fast == pytest.approx(slow * 100, rel=0.2)


def test_work_beyond_its_time_is_cancelled_and_ended_before_the_timeout_is_told() -> None:
    async def main() -> str:
        state = "running"

        async def work() -> None:
            nonlocal state
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1)
                state = "ended"

        with pytest.raises(TimeoutError):
            await within(LoopClock(), 5, work())
        return state

    assert run_virtual(main()) == "ended"


def test_work_within_its_time_gives_its_result_or_its_error() -> None:
    async def good() -> int:
        await asyncio.sleep(1)
        return 7

    async def bad() -> int:
        raise ValueError("no")

    async def main() -> int:
        with pytest.raises(ValueError, match="no"):
            await within(LoopClock(), 5, bad())
        return await within(LoopClock(), 5, good())

    assert run_virtual(main()) == 7
