"""The whole product on the virtual clock: sandbox, one or more managers that can be killed, and a person.

Nothing here knows what is right; see world_rules.py. Every choice is made from the story's seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from tests.scenarios.on_sandbox import ADMIN, HOST
from tests.scenarios.random_release import Act, Person, Story, a_story
from tests.scenarios.stage import Object, Stage
from world_chaos import ChaosApi

from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import outside_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import LoopClock, cancelled, run_virtual
from kruise_rollouts.sandbox.admission.callers import AppCaller
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.nodes.stages import Knobs
from kruise_rollouts.sandbox.sandbox import Sandbox

NEWS = 2.0  # seconds after which a manager has heard of anything, and has acted on it
FAULTS = ("kill", "kill", "fail", "lag", "cut", "expire", "second manager")


class Trouble(Struct, frozen=True):
    """A fault of machines, before the act of the same number."""

    act: int
    name: str
    amount: float  # writes until death, share of failing requests, seconds of lag or of company


class Manager:
    """One process of ours."""

    def __init__(self, world: World, seed: int) -> None:
        rng = random.Random(seed)
        self.api = ChaosApi(world.sandbox.api(), world.clock, rng)
        self.assembly = Assembly(self.api, world.clock, Options())
        for informer in self.assembly.informers.all:
            informer._rng = informer._backoff._rng = rng  # runs with the same seed are the same run
        for worker in self.assembly.controllers.all:
            worker.queue._rng = rng
        self.task = asyncio.create_task(self.assembly.manager.run())

    async def kill(self) -> None:
        self.api.dead = True
        await cancelled(self.task)


class World:
    """`play()` a story with its troubles; `watchers` see every commit as (plural, old, new)."""

    def __init__(self, story: Story, troubles: tuple[Trouble, ...], clock: Clock) -> None:
        self.story = story
        self.troubles = troubles
        self.clock = clock
        self.caller = AppCaller(clock)
        rng = random.Random(story.seed + 1)
        knobs = Knobs(
            ready_delay=rng.choice((0.1, 0.5, 1.5)),
            ready_jitter=rng.choice((0.0, 1.0)),
            terminate_delay=rng.choice((0.0, 0.0, 1.0)),
        )
        self.sandbox = Sandbox(clock, caller=self.caller, seed=story.seed, knobs=knobs, token="t")
        self.stage = Stage(DirectApi(self.sandbox.server, ADMIN, "kubectl/test"), clock, "default", [])
        self.person = Person(self.stage, story)
        self.managers: list[Manager] = []
        self.watchers: list[Callable[[str, Object | None, Object | None], None]] = []
        self.broken: list[Exception] = []  # rules that were broken, the first first
        self._alone_at = -NEWS  # when the last manager but one went
        self.tasks: list[asyncio.Task[Any]] = []
        self._seeds = random.Random(story.seed + 2)
        self._reflex = False  # the person approves at the very commit that says StepPaused
        self.person.when_paused = self._arm

    # --- what is there -------------------------------------------------------------------------------------------

    def objects(self, group: str, plural: str) -> list[Object]:
        return list(self.sandbox.server.store.list(group, plural, "default"))

    def object(self, group: str, plural: str) -> Object | None:
        return self.sandbox.server.store.get(group, plural, "default", "busybox")

    @property
    def crowded(self) -> bool:
        """Two managers act at once, or the one that is left may not have heard yet what the other wrote."""
        return len(self.managers) > 1 or self.clock.mono() < self._alone_at + NEWS

    # --- the run -------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        """Raises AssertionError, with the diary, if a rule is broken or something is not as it should be."""
        await self.sandbox.start()
        try:
            await self._start_manager(install_too=True)
            await self.person.begin()
            self._subscribe()
            keeper = asyncio.create_task(self._keep_alive())
            self.tasks.append(keeper)
            for number, act in enumerate(self.story.acts):
                for trouble in self.troubles:
                    if trouble.act == number:
                        self._begin(trouble)
                await self.clock.sleep(act.after)
                await self.person.do(act)
                self._raise_broken()
            self._calm()
            await self.person.see_through()
            self._raise_broken()
            await self.person.check_what_is_left()
        except AssertionError as error:
            first = self.broken[0] if self.broken else error
            raise AssertionError(f"{first}\n{self.tale()}") from first
        finally:
            await cancelled(*self.tasks)
            for manager in self.managers:
                await manager.kill()
            await self.sandbox.stop()

    def tale(self) -> str:
        story = self.story
        head = (
            f"seed {story.seed}: {story.replicas} replicas, surge {story.surge}, unavailable {story.unavailable}, "
            f"minReadySeconds {story.min_ready}, steps {[(s['replicas'], s['pause']) for s in story.steps]}"
        )
        return "\n".join((head, *self.person.diary))

    def _raise_broken(self) -> None:
        if self.broken:
            raise self.broken[0]

    async def _start_manager(self, install_too: bool = False) -> Manager:
        manager = Manager(self, self._seeds.randrange(2**32))
        self.managers.append(manager)
        self.caller.register(HOST, manager.assembly.app.respond)
        if install_too:
            await install(self.sandbox.api(), self.clock, outside_objects(Target(url=f"https://{HOST}")))
        return manager

    async def _end(self, manager: Manager) -> None:
        self.managers.remove(manager)
        await manager.kill()
        if self.managers:
            self._alone_at = self.clock.mono()

    async def _keep_alive(self) -> None:
        """What kubelet does for a container that ends: starts it anew, a moment later."""
        while True:
            await self.clock.sleep(0.05)
            for manager in [m for m in self.managers if m.api.dead]:
                self.person.diary.append(f"{self.clock.mono():8.2f} (the manager dies)")
                await self._end(manager)
                if not self.managers:
                    self.caller.unregister(HOST)
                    await self.clock.sleep(self._seeds.choice((0.0, 0.5, 5.0)))
                    await self._start_manager()
                    self.person.diary.append(f"{self.clock.mono():8.2f} (a new manager)")

    # --- troubles ------------------------------------------------------------------------------------------------

    def _begin(self, trouble: Trouble) -> None:
        self.person.diary.append(f"{self.clock.mono():8.2f} ({trouble.name} {trouble.amount:g})")
        for manager in self.managers:
            match trouble.name:
                case "kill":
                    manager.api.dies_in = int(trouble.amount)
                case "fail":
                    manager.api.failing = trouble.amount / 20
                case "lag":
                    manager.api.lag = trouble.amount / 10
                case "cut" | "expire":
                    manager.api.cut_watches(expire=trouble.name == "expire")
        if trouble.name == "second manager":
            self.tasks.append(asyncio.create_task(self._company(trouble.amount)))

    async def _company(self, seconds: float) -> None:
        first = self.managers[0] if self.managers else None
        second = await self._start_manager()
        await self.clock.sleep(seconds)
        if second in self.managers and len(self.managers) > 1:
            await self._end(second)
        if first is not None and first in self.managers:
            self.caller.register(HOST, first.assembly.app.respond)

    def _calm(self) -> None:
        self.person.diary.append(f"{self.clock.mono():8.2f} (calm)")
        for manager in self.managers:
            manager.api.failing = manager.api.lag = 0.0
            manager.api.dies_in = None

    # --- commits -------------------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        kinds = (
            ("apps", "deployments"),
            ("apps", "replicasets"),
            ("", "pods"),
            ("rollouts.kruise.io", "rollouts"),
        )
        for group, plural in kinds:

            def seen(_: str, old: Object | None, new: Object | None, plural: str = plural) -> None:
                try:
                    for watcher in self.watchers:
                        watcher(plural, old, new)
                except Exception as error:  # noqa: BLE001  whatever it is, it must not reach the store
                    self.person.diary.append(f"{self.clock.mono():8.2f} BROKEN: {error!r}")
                    self.broken.append(error)

            self.sandbox.server.store.subscribe(group, plural, seen)
        self.watchers.append(self._approve_in_this_moment)

    async def _arm(self) -> None:
        self._reflex = True

    def _approve_in_this_moment(self, plural: str, old: Object | None, new: Object | None) -> None:
        if not self._reflex or plural != "rollouts" or new is None:
            return
        sub = new.get("status", {}).get("canaryStatus") or {}
        if sub.get("currentStepState") == "StepPaused":
            self._reflex = False
            self.tasks.append(asyncio.ensure_future(self.person.do(Act("approve"))))


def troubles_of(seed: int, acts: int) -> tuple[Trouble, ...]:
    """The troubles of `seed`; none for every third."""
    rng = random.Random(-seed - 1)
    if seed % 3 == 0:
        return ()
    found = [
        Trouble(rng.randrange(acts), rng.choice(FAULTS), rng.randint(0, 12)) for _ in range(rng.randint(1, 3))
    ]
    return tuple(found)


def a_world(seed: int) -> tuple[Story, tuple[Trouble, ...]]:
    story = a_story(seed)
    return story, troubles_of(seed, len(story.acts))


def play(story: Story, troubles: tuple[Trouble, ...], attach: Callable[[World], None]) -> World:
    """The world after the story. `attach` is called before it begins."""

    async def run() -> World:
        world = World(story, troubles, LoopClock())
        attach(world)
        await world.play()
        return world

    return run_virtual(run())
