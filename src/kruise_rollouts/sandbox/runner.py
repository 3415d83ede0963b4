"""Runs the sandbox's controllers: store commits feed the world and the queues, one worker per controller folds.

Which controllers there are and what they are fed by is wiring.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Delete, JsonObject, Note, Write
from kruise_rollouts.kube.errors import ApiError, Conflict, NotFound
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.runtime.clock import cancelled
from kruise_rollouts.runtime.controller import Controller, Key, fold
from kruise_rollouts.runtime.log import log_of
from kruise_rollouts.runtime.queue import Closed, WorkQueue
from kruise_rollouts.sandbox.controllers.feeds import Feed
from kruise_rollouts.sandbox.controllers.world import Id, Refusal, World

from .request import User
from .resources import StorageKey
from .server import Server
from .store import ChangeType
from .telling import Teller
from .writer import Writer

log = log_of(__name__)

RETRIES_AT_ONCE = 5  # after a Conflict
REFUSED_FIRST, REFUSED_LONGEST = 0.25, 30.0  # seconds until a refused write is tried again
EVENTS_PER_TURN = 16

CONTROLLER_MANAGER = User("system:kube-controller-manager", groups=("system:masters", "system:authenticated"))

Refused: TypeAlias = Callable[[World, Key, Write, ApiError], Note | None]


class Wiring(Struct, frozen=True):
    """One controller and what wakes it."""

    controller: Controller[World, Any, Any]
    feeds: Mapping[Id, Feed]
    any_kind: Feed | None = None  # for kinds not in `feeds`
    pause: Callable[[World, Key], float] | None = None  # seconds to wait for more of the same; None: none
    refused: Refused | None = None  # not None: refusals are shown to the controller, and told by this
    keys_per_turn: int = 1  # then others get a turn of the event loop
    user: User = CONTROLLER_MANAGER
    manager: str = "kube-controller-manager"  # field manager


class Runner:
    """All of them. `start`, then let the event loop run."""

    def __init__(self, server: Server, clock: Clock, wirings: tuple[Wiring, ...], *, seed: int = 0) -> None:
        self.world = World()
        self.bugs = 0  # folds that ended in anything but a refusal by the server
        self._server, self._clock = server, clock
        self._loops = tuple(
            _Loop(self, w, server, clock, Random(f"{seed}/{w.controller.name}")) for w in wirings
        )
        self._teller = Teller(server, self.world, clock, CONTROLLER_MANAGER)
        self._ends: dict[StorageKey, Callable[[], None]] = {}
        self._kinds: dict[StorageKey, Id] = {}
        self._routes: dict[Id, list[tuple[_Loop, Feed]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._something_told = asyncio.Event()

    async def start(self) -> None:
        """Looks at everything there is, and follows what comes."""
        self._follow_all()
        self._server.registry.on_change(self._follow_all)
        self._tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in self._loops]
        self._tasks.append(asyncio.create_task(self._write_events(), name="events"))

    async def stop(self) -> None:
        """Stops at the next chance; what is half done stays half done, as in a crash."""
        for end in self._ends.values():
            end()
        self._ends.clear()
        for loop in self._loops:
            loop.queue.close()
        await cancelled(*self._tasks)
        self._tasks = []

    async def rest(self) -> None:
        """Returns when no controller has anything to do now; what waits for a time is not waited for."""
        while True:
            for loop in self._loops:
                await loop.queue.rest()
            if self._teller.is_idle and all(loop.is_idle for loop in self._loops):
                return
            await self._clock.sleep(0)

    def tell(self, component: str, note: Note) -> None:
        self._teller.tell(component, note)
        self._something_told.set()

    async def _write_events(self) -> None:
        while True:
            await self._something_told.wait()
            self._something_told.clear()
            while not self._teller.is_idle:
                await self._teller.write_some(EVENTS_PER_TURN)
                await self._clock.sleep(0)

    def _follow_all(self) -> None:
        registry = self._server.registry
        served = dict.fromkeys(r.storage for r in registry)
        for storage in served:
            resource = registry.stored(storage)
            if resource is None:
                continue
            kind = (storage[0], resource.kind)
            if resource.scale is not None:
                self.world.scales[kind] = resource.scale.spec_path
            if storage not in self._ends:
                self._follow(storage, kind)
        for storage in [s for s in self._ends if s not in served]:
            self._ends.pop(storage)()
            self.world.forget(self._kinds.pop(storage))

    def _follow(self, storage: StorageKey, kind: Id) -> None:
        def changed(type: ChangeType, old: JsonObject | None, new: JsonObject | None) -> None:
            if type == "DELETED":
                last = old if old is not None else new
                if last is None:
                    return
                self.world.remove(kind, last)
                self._feed(kind, last, None)
            elif new is not None:
                self.world.put(kind, new)
                self._feed(kind, old, new)

        self._kinds[storage] = kind
        self.world.served[kind] = f"{storage[1]}.{storage[0]}"
        self._ends[storage] = self._server.store.subscribe(*storage, changed)
        for obj in self._server.store.list(*storage):
            changed("ADDED", None, obj)

    def _feed(self, kind: Id, old: JsonObject | None, new: JsonObject | None) -> None:
        routes = self._routes.get(kind)
        if routes is None:
            found = ((loop, loop.feed_of(kind)) for loop in self._loops)
            routes = self._routes[kind] = [(loop, feed) for loop, feed in found if feed is not None]
        for loop, feed in routes:
            loop.add(feed(self.world, old, new))


class _Loop:
    """One controller's queue and worker."""

    def __init__(self, runner: Runner, wiring: Wiring, server: Server, clock: Clock, rng: Random) -> None:
        self.name = wiring.controller.name
        self.queue = WorkQueue(clock, name=self.name, rng=rng)
        self._runner, self._wiring, self._clock = runner, wiring, clock
        self._write = Writer(server, clock, wiring.user, wiring.manager)
        self._delays: dict[Key, float] = {}  # of refused keys

    @property
    def is_idle(self) -> bool:
        return len(self.queue) == 0 and self.queue.working == 0

    def feed_of(self, kind: Id) -> Feed | None:
        """What objects of `kind` wake here; None if nothing."""
        return self._wiring.feeds.get(kind, self._wiring.any_kind)

    def add(self, keys: Iterable[Key]) -> None:
        """Looks at `keys` soon."""
        world, pause = self._runner.world, self._wiring.pause
        for key in keys:
            seconds = pause(world, key) if pause is not None else 0.0
            if seconds > 0:
                self.queue.add_after(key, seconds)
            else:
                self.queue.add(key)

    async def run(self) -> None:
        done = 0
        while True:
            try:
                key = await self.queue.get()
            except Closed:
                return
            try:
                await self._reconcile(key)
            finally:
                self.queue.done(key)
            done += 1
            if done % self._wiring.keys_per_turn == 0:
                await self._clock.sleep(0)

    async def _reconcile(self, key: Key) -> None:
        try:
            wake_at = await self._settle(key)
        except Exception as error:  # noqa: BLE001  # one bad key must not stop the others
            delay = self.queue.retry(key)
            about = log.bind(
                controller=self.name, namespace=key[0], name=key[1], retry_seconds=round(delay, 3)
            )
            if isinstance(error, ApiError):
                about.debug("will be tried again", error=str(error))
            else:
                self._runner.bugs += 1
                about.error("controller failed", bug=error)
            return
        self.queue.forget(key)
        if wake_at is not None:
            self.queue.add_at(key, wake_at)

    async def _settle(self, key: Key) -> datetime | None:
        for _ in range(RETRIES_AT_ONCE):
            try:
                wake_at = await self._fold(key)
            except _Stopped as stopped:
                if _is_terminating(stopped.error):
                    return None  # nothing can be created in a namespace that goes away
                self._refuse(key, stopped)
                continue
            except (Conflict, NotFound):
                continue
            refusal = self._runner.world.refusals.get((self.name, *key))
            if refusal is not None and refusal.retry_at <= self._clock.now():
                del self._runner.world.refusals[(self.name, *key)]
                self._delays.pop(key, None)
            return wake_at
        return await self._fold(key)

    async def _fold(self, key: Key) -> datetime | None:
        runner = self._runner
        return await fold(
            self._wiring.controller,
            key,
            runner.world,
            apply=self._apply,
            tell=lambda note: runner.tell(self.name, note),
            clock=self._clock,
        )

    async def _apply(self, write: Write) -> JsonObject | None:
        try:
            return await self._write(write)
        except (Conflict, NotFound):
            raise
        except ApiError as error:
            if self._wiring.refused is not None and isinstance(write, Create | Delete):
                raise _Stopped(write, error) from error
            raise

    def _refuse(self, key: Key, stopped: _Stopped) -> None:
        write, error = stopped.write, stopped.error
        delay = min(self._delays.get(key, REFUSED_FIRST / 2) * 2, REFUSED_LONGEST)
        self._delays[key] = delay
        self._runner.world.refusals[(self.name, *key)] = Refusal(
            reason=error.reason,
            message=error.message,
            creating=isinstance(write, Create),
            retry_at=self._clock.now() + timedelta(seconds=delay),
        )
        note = self._wiring.refused(self._runner.world, key, write, error) if self._wiring.refused else None
        if note is not None:
            self._runner.tell(self.name, note)


class _Stopped(Exception):
    """A write was refused; the controller is to see that before it goes on."""

    def __init__(self, write: Write, error: ApiError) -> None:
        super().__init__(str(error))
        self.write, self.error = write, error


def _is_terminating(error: ApiError) -> bool:
    causes = error.details.causes if error.details is not None else ()
    return any(c.reason == "NamespaceTerminating" for c in causes)
