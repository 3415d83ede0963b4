"""Runs the parts of a process in the right order, tells whether it is well, and stops it in good order.

Start: the webhook server listens (conversion may be needed to fill the caches) -> informers -> the caches that
admission looks at are filled -> it answers -> all caches are filled -> election -> controllers. Stop: keys in hand are
finished -> Events are sent -> the lease is given back -> webhooks stop. What the parts do is not known here.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from kruise_rollouts.kube.protocols import Clock

from .clock import cancelled, first_of, within
from .events import Recorder
from .leader import Elector
from .log import log_of
from .queue import WorkQueue
from .webhook import WebhookApp

log = log_of(__name__)

SYNC_SECONDS = 120.0
STOP_SECONDS = 30.0
FLUSH_SECONDS = 5.0
YOUNG_SECONDS = 5.0  # a watch that is no older is not behind
CATCH_UP_SECONDS = 1.0  # in which a fresh watch tells what was missed
LINGER_SECONDS = 2.0  # API servers send reviews for a moment after we have said that we are not ready


class Source(Protocol):
    """An informer, as far as the manager cares."""

    @property
    def synced(self) -> asyncio.Event: ...

    def renew(self) -> None: ...

    async def run(self) -> None: ...


class Worker(Protocol):
    """A loop.Loop, as far as the manager cares."""

    @property
    def queue(self) -> WorkQueue: ...

    async def run(self) -> None: ...


class Listener(Protocol):
    """A webhook.WebhookServer, as far as the manager cares."""

    @property
    def listening(self) -> bool: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class StartFailed(Exception):
    """The process cannot do its work; the message says why."""


class Manager:
    """The parts of one process. Make it, set what there is, `run()` it once."""

    def __init__(
        self,
        clock: Clock,
        *,
        sources: Sequence[Source],
        workers: Sequence[Worker],
        recorder: Recorder | None = None,
        elector: Elector | None = None,
        webhooks: tuple[WebhookApp, Listener | None] | None = None,
        tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
        admits_after: Sequence[Source] | None = None,
    ) -> None:
        """`elector` None: lead at once. `tasks`: what else runs all the time, on every replica.

        `webhooks`: without a server for reviews that come from within this process. `admits_after`: those of the
        `sources` without which admission cannot judge; None: all."""
        self._clock = clock
        self._sources = sources
        self._admits_after = sources if admits_after is None else admits_after
        self._workers = workers
        self._recorder = recorder
        self._elector = elector
        self._app: WebhookApp | None = webhooks[0] if webhooks is not None else None
        self._server: Listener | None = webhooks[1] if webhooks is not None else None
        self._tasks = tasks
        self._stop = asyncio.Event()
        self._admitting = False
        self._settled_at = 0.0  # mono

    def stop(self) -> None:
        """Asks run() to end in good order."""
        self._stop.set()

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT end run() in good order; a second one at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: int) -> None:
        if self._stop.is_set():
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.raise_signal(number)
        log.info("asked to stop", signal=signal.Signals(number).name)
        self.stop()

    def checks(self) -> dict[str, bool]:
        """What must be true before this replica may be sent reviews."""
        found = {"caches are synced": all(s.synced.is_set() for s in self._sources)}
        if self._server is not None:
            found["webhooks listen"] = self._server.listening
        if self._app is not None:
            found["admission answers"] = self._admitting
        found["not stopping"] = not self._stop.is_set()
        return found

    @property
    def ready(self) -> bool:
        return all(self.checks().values())

    async def run(self) -> None:
        """Works until stop(). Raises StartFailed, leader.LeaseLost, or what a part died of."""
        background: list[asyncio.Task[None]] = []
        try:
            if self._server is not None:
                await self._server.start()
            background += [asyncio.create_task(s.run()) for s in self._sources]
            background += [asyncio.create_task(task()) for task in self._tasks]
            if self._recorder is not None:
                background.append(asyncio.create_task(self._recorder.run()))
            if not await self._synced(self._admits_after, background):
                return
            self._admit()
            if not await self._synced(self._sources, background):
                return
            self._settle()
            await self._lead_until_stopped(background)
        finally:
            self.stop()
            await self._wind_down(background)

    async def _synced(self, sources: Sequence[Source], background: Sequence[asyncio.Task[None]]) -> bool:
        """True once the caches of `sources` are filled; False if asked to stop before."""

        async def all_synced() -> None:
            for source in sources:
                await source.synced.wait()

        try:
            await within(self._clock, SYNC_SECONDS, self._first(all_synced(), background))
        except TimeoutError as error:
            raise StartFailed(
                f"the caches were not filled within {SYNC_SECONDS:g} s: see the log for what is refused"
            ) from error
        return not self._stop.is_set()

    def _admit(self) -> None:
        self._admitting = True
        if self._app is not None:
            self._app.open()

    def _settle(self) -> None:
        gc.collect()
        gc.freeze()  # what the caches hold now stays: the collector need not walk it ever again
        self._settled_at = self._clock.mono()
        log.info("ready")

    async def _lead_until_stopped(self, background: Sequence[asyncio.Task[None]]) -> None:
        if self._elector is None:
            leading: Awaitable[None] = self._work()
        else:
            leading = self._elector.run(self._take_over)
        task = asyncio.ensure_future(leading)
        try:
            await self._first(asyncio.shield(task), background)
            if not task.done() and self._elector is not None and not self._elector.leading:
                return  # still waiting for the lease: there is nothing to finish
            for worker in self._workers:
                worker.queue.close()
            try:
                await within(self._clock, STOP_SECONDS - FLUSH_SECONDS, task)
            except TimeoutError:
                log.warning("some keys were not finished before the stop")
        finally:
            await cancelled(task)

    async def _take_over(self) -> None:
        """Begins with what the leader before has done last, even if what cut that one off cut our watches off too."""
        if self._clock.mono() - self._settled_at > YOUNG_SECONDS:
            for source in self._sources:
                source.renew()
            await self._clock.sleep(CATCH_UP_SECONDS)
        await self._work()

    async def _work(self) -> None:
        """All controllers, until their queues are closed; then the Events they told are sent, still leading."""
        running = [asyncio.ensure_future(worker.run()) for worker in self._workers]
        try:
            await asyncio.gather(*running)
            await self._stop.wait()  # without controllers we lead all the same
        finally:
            await cancelled(*running)
            if self._recorder is not None:
                await self._recorder.flush(FLUSH_SECONDS)

    async def _first(self, work: Awaitable[None], background: Sequence[asyncio.Task[None]]) -> None:
        """Returns when `work` is done or stop() was called; raises what either, or a background task, died of."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await first_of(task, stop, *background)
            for dead in background:
                if dead.done():
                    dead.result()
                    raise StartFailed("a part that should run for ever has ended")
            if task.done():
                task.result()
        finally:
            await cancelled(task, stop)

    async def _wind_down(self, background: Sequence[asyncio.Task[None]]) -> None:
        if self._server is not None:
            await self._clock.sleep(LINGER_SECONDS)
            await self._server.stop()
        await cancelled(*background)
