"""The clocks: the wall, a faster wall, and a virtual event loop that jumps to the next timer.

This and wall.py are the only places of the code base that read the time or sleep. Everything else is handed a
`kube.protocols.Clock`.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from kruise_rollouts.kube.protocols import Clock

from . import wall

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

VIRTUAL_START = datetime(2026, 1, 1, tzinfo=UTC)


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return wall.now()

    def mono(self) -> float:
        return wall.mono()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class RateClock:
    """A wall clock that runs `rate` times as fast (rate > 0), starting at the true time."""

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"a clock's rate must be above zero, not {rate}")
        self.rate = rate
        self._start = wall.now()
        self._zero = wall.mono()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.mono())

    def mono(self) -> float:
        return (wall.mono() - self._zero) * self.rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self.rate)


class LoopClock:
    """The time of the running event loop; inside a VirtualLoop that is virtual time."""

    def __init__(self, start: datetime = VIRTUAL_START) -> None:
        self._start = start

    def now(self) -> datetime:
        loop = asyncio.get_running_loop()
        start = loop.start if isinstance(loop, VirtualLoop) else self._start
        return start + timedelta(seconds=loop.time())

    def mono(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class Stuck(RuntimeError):
    """Every task waits, no timer is set and no thread works: a virtual loop would wait for ever."""


class _JumpingSelector(selectors.BaseSelector):
    """Asks the real selector without waiting; where it would wait, time is moved on instead."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.loop: VirtualLoop | None = None

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0 or self.loop is None:
            return ready
        if self.loop.threads:  # real work is going on: virtual time stands still until it is done
            return self._real.select(60)
        if timeout is None:
            raise Stuck("all tasks wait for each other: no timer is set and nothing can wake them")
        self.loop.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while anything can run and then jumps to the next timer.

    For code without real sockets. Threads (`run_in_executor`) are waited for without time passing.
    """

    def __init__(self, start: datetime = VIRTUAL_START) -> None:
        self.start = start
        self.threads = 0
        self._seconds = 0.0
        selector = _JumpingSelector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Moves time on."""
        self._seconds += seconds

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self.threads += 1  # it waits for a thread of its own
        try:
            await super().shutdown_default_executor()
        finally:
            self.threads -= 1

    def _thread_done(self, _: object) -> None:
        self.threads -= 1


def run_virtual(main: Coroutine[Any, Any, T], start: datetime = VIRTUAL_START) -> T:
    """What `main` returns, run on a fresh VirtualLoop beginning at `start`. Leftover tasks are cancelled.

    Raises what `main` raises, and Stuck if it can never end.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main)


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """The result of `work`; TimeoutError (and `work` cancelled and ended) after `seconds` of `clock`."""
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await first_of(task, alarm)
        if task.done():
            return task.result()
        raise TimeoutError(f"no end within {seconds:g} s")
    finally:
        await cancelled(task, alarm)


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Returns when one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancels `tasks` and returns when they have ended; their results and errors are dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
