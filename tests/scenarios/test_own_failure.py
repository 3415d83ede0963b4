"""What people see when we fail: killed at any write, without an API server, with two of us, without webhooks.

In the sandbox only: there every write can be the last one, and a minute without an API server takes no time. A manager
process that is killed on a real API server is the shared manager's matter (see shared_manager.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, LEASE, ROLLOUT
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import Installation, crd_objects, webhook_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import LoopClock, cancelled, run_virtual
from kruise_rollouts.runtime.leader import Elector
from kruise_rollouts.sandbox.callers import AppCaller
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.sandbox import Sandbox

from .failing_api import FailingApi
from .on_sandbox import ADMIN, HOST
from .stage import Stage, a_deployment, a_rollout, a_step

STEPS = (a_step(2), a_step("50%"), a_step("100%"))
LEASE_NS, LEASE_NAME = "default", "manager"


class Cluster:
    """A sandbox whose managers come and go."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.caller = AppCaller(clock)
        self.sandbox = Sandbox(clock, caller=self.caller)
        api = DirectApi(self.sandbox.server, ADMIN, "kubectl/test")
        self.stage = Stage(api, clock, "default", [])
        self.running: list[asyncio.Task[Any]] = []

    async def manager(self, elected_as: str = "") -> FailingApi:
        """One more. `elected_as`: its identity; "" to act without asking."""
        api = FailingApi(self.sandbox.api(), self.clock)
        elector = None
        if elected_as:
            elector = Elector(api, self.clock, ns=LEASE_NS, name=LEASE_NAME, identity=elected_as)
        assembly = Assembly(api, self.clock, Options(), elector=elector)
        self.caller.register(HOST, assembly.app.respond)
        task = asyncio.create_task(assembly.manager.run())
        self.running.append(task)
        api.killed = task.cancel
        return api

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


def play(story: Callable[[Cluster], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = LoopClock()
        cluster = Cluster(clock)
        await cluster.sandbox.start()
        installation = Installation(Target(url=f"https://{HOST}"))
        objects = (*crd_objects(installation), *webhook_objects(installation))
        await install(cluster.sandbox.api(), clock, objects)
        try:
            await story(cluster)
        finally:
            await cancelled(*cluster.running)
            await cluster.sandbox.stop()

    run_virtual(run())


@pytest.mark.slow
@pytest.mark.parametrize("last_write", range(0, 30, 2))
def test_a_manager_killed_after_any_write_is_followed_by_one_that_goes_on(last_write: int) -> None:
    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        api.die_after(last_write)
        await cluster.stage.set_version("version-2")
        await cluster.stage.clock.sleep(5)
        await api.kill()
        await cluster.manager()
        await cluster.finish()

    play(story)


def test_a_minute_without_an_api_server_delays_a_release_and_no_more() -> None:
    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        await cluster.stage.set_version("version-2")
        await cluster.stage.until_paused(1)
        api.away = True
        await cluster.stage.approve()
        await cluster.stage.clock.sleep(60)
        assert await cluster.stage.versions() == {"version-5": 8, "version-2": 2}
        api.away = False
        await cluster.stage.until_paused(2, within=120)
        await cluster.stage.approve()
        await cluster.stage.until_phase("Healthy", within=120)
        await cluster.stage.until_versions({"version-2": 10})

    play(story)


def test_of_two_managers_one_acts_and_the_other_takes_over_when_it_is_killed() -> None:
    async def story(cluster: Cluster) -> None:
        first = await cluster.manager("first")
        await cluster.begin()
        second = await cluster.manager("second")
        await cluster.stage.set_version("version-2")
        await cluster.stage.until_paused(1)
        lease = await cluster.stage.get(LEASE, LEASE_NAME)
        assert lease["spec"]["holderIdentity"] == "first" and second.written == 0
        await first.kill()
        await cluster.finish()
        lease = await cluster.stage.get(LEASE, LEASE_NAME)
        assert lease["spec"]["holderIdentity"] == "second" and second.written > 0

    play(story)


def test_without_webhooks_a_new_version_of_a_released_deployment_is_refused_and_moves_no_pod() -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.manager()
        await cluster.begin()
        cluster.caller.unregister(HOST)
        with pytest.raises(ApiError, match=r"mdeployment\.kb\.io"):
            await cluster.stage.set_version("version-2")
        scaled = await cluster.stage.patch(DEPLOYMENT, "busybox", {"spec": {"replicas": 9}})
        assert scaled["spec"]["replicas"] == 9  # what concerns no release needs nobody
        assert await cluster.stage.find(BATCH_RELEASE, "busybox") is None

    play(story)


def test_a_version_that_slipped_through_is_held_again_when_a_manager_starts() -> None:
    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        await api.kill()
        for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
            path = f"/apis/admissionregistration.k8s.io/v1/{kind}"
            await cluster.stage.api.request("DELETE", path)
        await cluster.stage.set_version("version-2")
        await cluster.manager()
        await cluster.stage.until_paused(1, within=120)
        versions = await cluster.stage.versions()
        assert versions["version-2"] < 10, "it was let go"
        events = await cluster.stage.events("Rollout", "busybox")
        assert [e for e in events if e["reason"] == "Held"]

    play(story)
