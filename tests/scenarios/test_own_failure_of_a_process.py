"""A real manager process on a real API server: killed, stopped, cut off, and what it stands on taken away.

Each test has a manager of its own in place of the run's shared one, so they cannot run beside other scenarios.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kruise_rollouts.kube.errors import ApiError, NotFound
from kruise_rollouts.kube.objects import CRD, DEPLOYMENT, LEASE, MUTATING_WEBHOOKS, NAMESPACE, ROLLOUT, SECRET
from kruise_rollouts.kube.objects import VALIDATING_WEBHOOKS as VALIDATING
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.kubeconfig import connect

from .misbehaving_server import Answer, misbehaving
from .own_manager import OwnManager
from .release import begin, left_of_ours, to_the_end
from .stage import Stage, a_deployment, a_namespace, a_rollout

KILLS, SEED = (int(os.environ.get(name, default)) for name, default in (("KILLS", "6"), ("KILL_SEED", "1")))
pytestmark = [pytest.mark.cluster, pytest.mark.slow]
MUTATING_NAME, VALIDATING_NAME = (
    f"kruise-rollout-{m}-webhook-configuration" for m in ("mutating", "validating")
)
KINDS = [f"{plural}.rollouts.kruise.io" for plural in ("rollouts", "batchreleases", "rollouthistories")]
Story = Callable[[Stage], Awaitable[None]]


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    """A namespace of its own on the API server of KUBECONFIG."""
    warnings: list[str] = []
    async with HttpApi(connect(), user_agent="kubectl/test", on_warning=warnings.append) as api:
        ns = await a_namespace(api, "own-failure")
        try:
            yield Stage(api, WallClock(), ns, warnings)
        finally:
            await api.request("DELETE", NAMESPACE.path("", ns))


@asynccontextmanager
async def managing(*managers: OwnManager) -> AsyncIterator[None]:
    """Installs for the last of them, starts them in order; ends what then still runs."""
    try:
        for manager in managers:
            await asyncio.to_thread(manager.install)
            await manager.start()
        yield
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *(m.said() for m in managers)])) from error
    finally:
        for manager in managers:
            manager.kill()


async def whole_release(stage: Stage, version: str = "version-2") -> None:
    """From the moment in which `version` was applied."""
    await stage.until_paused(1, within=120)
    await to_the_end(stage, version)


def test_a_manager_that_is_killed_again_and_again_still_ends_the_release(tmp_path: Path) -> None:
    """S43: kill -9 at moments that nobody chose, while it starts as well as while it works."""

    async def run() -> None:
        rng = random.Random(SEED)
        manager = OwnManager(tmp_path)
        async with a_stage() as stage, managing(manager):
            await begin(stage)
            await stage.set_version("version-2")
            release = asyncio.create_task(whole_release(stage))
            for _ in range(KILLS):
                await stage.clock.sleep(rng.uniform(0.0, 1.2))
                manager.kill()
                manager.begin()
                if rng.random() < 0.7:
                    await asyncio.to_thread(manager.wait_ready)
            await release

    asyncio.run(run())


def test_while_no_manager_runs_only_new_versions_of_released_workloads_wait(tmp_path: Path) -> None:
    """S01: what no Rollout refers to is never affected, and scaling passes; the refusal names our webhook."""

    async def run() -> None:
        manager = OwnManager(tmp_path)
        async with a_stage() as stage, managing(manager):
            await begin(stage, replicas=4)
            await stage.create(DEPLOYMENT, a_deployment("plain", 2))
            await stage.until_ready(2, "plain")
            manager.kill()
            asked = stage.clock.mono()
            await stage.set_version("version-2", "plain")
            assert stage.clock.mono() - asked < 5
            await stage.until_versions({"version-2": 2}, "plain")
            with pytest.raises(ApiError, match=r"mdeployment\.kb\.io"):
                await stage.set_version("version-2")
            await stage.scale(5)
            await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"labels": {"team": "a"}}})
            await stage.until_versions({"version-5": 5})
            await manager.start()
            await stage.set_version("version-2")
            await stage.until_paused(1)
            assert await stage.versions() == {"version-5": 4, "version-2": 1}

    asyncio.run(run())


def test_the_second_manager_goes_on_when_the_first_is_killed(tmp_path: Path) -> None:
    """S43."""

    async def run() -> None:
        async with a_stage() as stage:
            one, two = (
                OwnManager(tmp_path / n, ns=stage.ns, flags=("--leader-elect",)) for n in ("one", "two")
            )
            async with managing(one, two):
                await begin(stage)
                before = (await stage.get(LEASE, "71ddec2c.kruise.io"))["spec"]["holderIdentity"]
                await stage.set_version("version-2")
                await stage.until_paused(1)
                await stage.approve()
                one.kill()
                await to_the_end(stage)
                after = (await stage.get(LEASE, "71ddec2c.kruise.io"))["spec"]["holderIdentity"]
                assert before != after

    asyncio.run(run())


def test_a_manager_that_wakes_up_when_another_leads_writes_nothing(tmp_path: Path) -> None:
    """S42: stopped (SIGSTOP) in the middle of its work, for longer than its lease."""

    async def run() -> None:
        async with a_stage() as stage, misbehaving(stage.clock).serving() as server:
            one = OwnManager(tmp_path / "one", server=server.url, ns=stage.ns, flags=("--leader-elect",))
            two = OwnManager(tmp_path / "two", ns=stage.ns, flags=("--leader-elect",))
            async with managing(one, two):
                await begin(stage)
                await stage.set_version("version-2")
                await stage.until_paused(1)
                assert server.writes, "the first one leads"
                server.delay = 1.0  # so that it is stopped with a write under way
                await stage.approve()
                await stage.clock.sleep(1.2)
                one.pause()
                server.delay = 0.0
                await stage.until_paused(2, within=40)
                stopped = len(server.writes)
                one.resume()
                assert await one.ended() != 0, "it ends, to begin anew as a follower"
                written = [w for w in server.writes[stopped:] if f"/namespaces/{stage.ns}/" in w[2]]
                assert written == []
                await to_the_end(stage)

    asyncio.run(run())


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_release_goes_on_as_soon_as_the_api_server_is_back(tmp_path: Path, how: str) -> None:
    """S44, S46."""

    async def run() -> None:
        async with a_stage() as stage, misbehaving(stage.clock).serving() as server:
            manager = OwnManager(tmp_path, server=server.url)
            async with managing(manager):
                await begin(stage)
                await stage.set_version("version-2")
                await stage.until_paused(1)
                server.away = how
                server.close_watches()
                await stage.approve()
                await stage.stays({"version-5": 8, "version-2": 2}, seconds=20)
                server.away = ""
                await stage.until_paused(2, within=30)
                assert manager.running
                await to_the_end(stage)

    asyncio.run(run())


def test_a_slow_server_full_of_errors_delays_a_release_and_no_more(tmp_path: Path) -> None:
    """S45: 429, 500, 503, 409 and 410, watches that break off, and answers that take their time."""
    rng = random.Random(2)
    told: list[Answer] = [
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (409, "Conflict"),
    ]

    def whim(method: str, path: str) -> Answer | None:
        if rng.random() > 0.2:
            return None
        return (410, "Expired") if method == "WATCH" else rng.choice(told)

    async def run() -> None:
        async with a_stage() as stage, misbehaving(stage.clock).serving() as server:
            manager = OwnManager(tmp_path, server=server.url)
            async with managing(manager):
                await begin(stage)
                server.whim, server.delay = whim, 0.05
                await stage.set_version("version-2")
                release = asyncio.create_task(whole_release(stage))
                while not release.done():
                    await stage.clock.sleep(4)
                    server.close_watches()
                await release
                assert manager.running
        assert "Traceback" not in manager.said(10_000)

    asyncio.run(run())


def test_the_secret_of_the_certificates_is_deleted_in_the_middle(tmp_path: Path) -> None:
    """S11: it is made again from what is served; nobody's update is refused meanwhile, nor after a restart."""

    async def run() -> None:
        async with a_stage() as stage:
            manager = OwnManager(tmp_path, ns=stage.ns)
            async with managing(manager):
                await begin(stage)
                name = "kruise-rollout-webhook-certs"
                before = (await stage.get(SECRET, name))["data"]
                await stage.delete(SECRET, name)
                await stage.set_version("version-2")
                await stage.until_paused(1)

                async def again() -> bool:
                    found = await stage.find(SECRET, name)
                    return found is not None and found["data"] == before

                await stage.until("the Secret is as it was", again, within=5)
                manager.kill()
                await manager.start()
                await stage.set_version("version-3")
                await whole_release(stage, "version-3")

    asyncio.run(run())


async def delete(stage: Stage, *paths: str) -> None:
    for path in paths:
        await stage.api.request("DELETE", path)


async def gone(stage: Stage, path: str) -> bool:
    try:
        await stage.api.request("GET", path)
    except NotFound:
        return True
    return False


def test_webhook_configurations_deleted_by_hand_and_put_back(tmp_path: Path) -> None:
    """Meanwhile a new version is held late; afterwards at once, and nobody has restarted anything."""

    async def run() -> None:
        manager = OwnManager(tmp_path)
        async with a_stage() as stage, managing(manager):
            await begin(stage)
            mutating, validating = (
                MUTATING_WEBHOOKS.path("", MUTATING_NAME),
                VALIDATING.path("", VALIDATING_NAME),
            )
            await delete(stage, mutating, validating)
            await stage.set_version("version-2")
            await stage.until_said("was applied while nothing held it back")
            await stage.until_paused(1)
            assert (await stage.versions())["version-2"] <= 6
            await to_the_end(stage)
            assert "run `kruise-rollout install`" in manager.said(1000)
            await asyncio.to_thread(manager.install)

            async def trusted() -> bool:
                try:
                    await stage.patch(ROLLOUT, "busybox", {"metadata": {"labels": {"a": "b"}}})
                except ApiError:
                    return False
                return True

            await stage.until("the API server trusts the webhooks again", trusted, within=5)
            stage.warnings.clear()
            held = await stage.set_version("version-3")
            assert held["spec"]["paused"] is True and stage.warnings
            await whole_release(stage, "version-3")

    asyncio.run(run())


def test_crds_deleted_and_put_back(tmp_path: Path) -> None:
    """What was released is lost, but its pods are free and whole; the same manager serves the next Rollout."""

    async def run() -> None:
        manager = OwnManager(tmp_path)
        async with a_stage() as stage, managing(manager):
            await begin(stage)
            await stage.set_version("version-2")
            await stage.until_paused(1)
            await delete(stage, *(CRD.path("", name) for name in KINDS))
            for name in KINDS:
                await stage.until(f"{name} is gone", lambda name=name: gone(stage, CRD.path("", name)))  # type: ignore[misc]
            await stage.until_versions({"version-2": 10})
            deployment = await stage.get(DEPLOYMENT, "busybox")
            assert not deployment["spec"].get("paused") and left_of_ours(deployment) == []
            await stage.set_version("version-3")  # nobody holds it: there is no Rollout
            await stage.until_versions({"version-3": 10})
            await asyncio.to_thread(manager.install)
            await stage.clock.sleep(12)  # a pause between two attempts, at most
            await stage.create(ROLLOUT, a_rollout())
            await stage.until_phase("Healthy")
            await stage.apply(DEPLOYMENT, a_deployment(version="version-4"))
            await stage.until_paused(1)
            assert manager.running
            await to_the_end(stage, "version-4")

    asyncio.run(run())
