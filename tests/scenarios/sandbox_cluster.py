"""A sandbox whose managers come and go, each with an Api that can fail: for tests of our own failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import outside_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import LoopClock, cancelled, run_virtual
from kruise_rollouts.runtime.leader import Elector
from kruise_rollouts.runtime.manager import StartFailed
from kruise_rollouts.sandbox.admission.callers import AppCaller
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.sandbox import Sandbox

from .failing_api import FailingApi
from .on_sandbox import ADMIN, HOST
from .stage import Stage, a_deployment, a_rollout, a_step

STEPS = (a_step(2), a_step("50%"), a_step("100%"))
LEASE_NS, LEASE_NAME = "default", "manager"


class Cluster:
    """A sandbox whose managers come and go."""

    def __init__(self, clock: Clock, data: Path | None = None) -> None:
        """`data`: where the API server keeps what is stored; None: in memory."""
        self.clock = clock
        self.caller = AppCaller(clock)
        self.sandbox = Sandbox(clock, caller=self.caller, data=data)
        self.stage = self._stage()
        self.running: list[asyncio.Task[Any]] = []
        self.apis: list[FailingApi] = []
        self.asked: list[tuple[str, str]] = []  # by managers: method and path

    def _ask(self, method: str, path: str) -> None:
        self.asked.append((method, path))

    def _stage(self) -> Stage:
        return Stage(DirectApi(self.sandbox.server, ADMIN, "kubectl/test"), self.clock, "default", [])

    async def start(self) -> None:
        await self.sandbox.start()
        await install(self.sandbox.api(), self.clock, outside_objects(Target(url=f"https://{HOST}")))

    async def restore(self, data: Path) -> None:
        """The API server dies; after a while another one is there, with what was stored in `data`."""
        for api in self.apis:
            api.away = True
        await self.sandbox.stop()
        await self.clock.sleep(5)
        self.sandbox = Sandbox(self.clock, caller=self.caller, data=data)
        await self.sandbox.start()
        self.stage = self._stage()
        for api in self.apis:
            api.api, api.away = self.sandbox.api(), False

    async def manager(self, elected_as: str = "", clock: Clock | None = None) -> FailingApi:
        """One more. `elected_as`: its identity; "" to act without asking. `clock`: its own, if it goes wrong."""
        api = FailingApi(self.sandbox.api(), self.clock, self._ask)
        self.apis.append(api)
        elector = None
        if elected_as:
            elector = Elector(api, self.clock, ns=LEASE_NS, name=LEASE_NAME, identity=elected_as)
        task = asyncio.create_task(self._process(api, clock or self.clock, elector))
        self.running.append(task)
        api.killed = task.cancel
        return api

    async def _process(self, api: FailingApi, clock: Clock, elector: Elector | None) -> None:
        """As a container whose program is started again when it has ended."""
        while True:
            assembly = Assembly(api, clock, Options(), elector=elector)
            self.caller.register(HOST, assembly.app.respond)
            try:
                await assembly.manager.run()
            except StartFailed:
                await self.clock.sleep(1)

    async def begin(self) -> None:
        """Ten pods of version-5 and a Healthy Rollout, with a manager."""
        stage = self.stage
        await stage.create(DEPLOYMENT, a_deployment())
        await stage.create(ROLLOUT, a_rollout(steps=STEPS))
        await stage.until_ready(10)
        await stage.until_phase("Healthy")

    async def finish(self) -> None:
        """Approves what waits until the release is over; everything is as it was applied."""
        for step in (1, 2):
            await self.stage.until_paused(step, within=120)
            await self.stage.approve()
        await self.stage.until_phase("Healthy", within=120)
        await self.stage.until_versions({"version-2": 10})
        deployment = await self.stage.deployment()
        assert not deployment["spec"].get("paused") and not deployment["spec"].get("minReadySeconds")
        assert not [k for k in deployment["metadata"].get("annotations", {}) if "kruise.io" in k]


def play(story: Callable[[Cluster], Awaitable[None]], data: Path | None = None) -> None:
    async def run() -> None:
        clock = LoopClock()
        cluster = Cluster(clock, data)
        await cluster.start()
        try:
            await story(cluster)
        finally:
            await cancelled(*cluster.running)
            await cluster.sandbox.stop()

    run_virtual(run())
