"""What people see when we fail: killed at any write, without an API server, with two of us, without webhooks.

In the sandbox only: there every write can be the last one, and a minute without an API server takes no time. What
happens to a real process on a real API server is in test_own_failure_of_a_process.py.
"""

from __future__ import annotations

import asyncio

import pytest

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, LEASE, ROLLOUT

from .on_sandbox import HOST
from .release import another_version, condition, left_of_ours, to_the_end
from .sandbox_cluster import LEASE_NAME, Cluster, play
from .stage import Stage

FLOWS = {
    "released": 44,
    "rolled back": 31,
    "replaced": 77,
    "deleted": 18,
}  # writes of ours from the first act on
QUICK = {
    "released": (9, 31),
    "rolled back": (22,),
    "replaced": (40,),
    "deleted": (12,),
}  # in the fast suite too


async def flow(stage: Stage, name: str) -> None:
    """What the people of the flow do, and what they see at its end, whatever becomes of the manager meanwhile."""
    await stage.set_version("version-2")
    await stage.until_paused(1, within=120)
    if name == "deleted":
        await stage.delete(ROLLOUT, "busybox")
        await stage.until_gone(ROLLOUT, within=120)
        await stage.until_versions({"version-2": 10}, within=120)
        deployment = await stage.deployment()
        assert left_of_ours(deployment) == [] and not deployment["spec"].get("paused")
        return
    await stage.approve()
    await stage.until_paused(2, within=120)
    version = {"released": "version-2", "rolled back": "version-5", "replaced": "version-3"}[name]
    if name == "rolled back":
        await stage.set_version(version)
    elif name == "replaced":
        await another_version(stage, version)
    deployment = await to_the_end(stage, version)
    assert not deployment["spec"].get("minReadySeconds")
    succeeded = condition(await stage.rollout(), "Succeeded")["status"]
    assert succeeded == ("False" if name == "rolled back" else "True")


def kill_points() -> list[object]:
    return [
        pytest.param(
            name, write, marks=() if write in QUICK[name] else pytest.mark.slow, id=f"{name}-{write}"
        )
        for name, writes in FLOWS.items()
        for write in range(writes)
    ]


@pytest.mark.parametrize(("name", "last_write"), kill_points())
def test_a_manager_killed_after_any_write_is_followed_by_one_that_goes_on(name: str, last_write: int) -> None:
    """S43: every write of every flow is the last one once, those after the approvals too."""

    async def story(cluster: Cluster) -> None:
        stage, api = cluster.stage, await cluster.manager()
        await cluster.begin()

        async def followed() -> None:
            while not api.away:
                await stage.clock.sleep(0.05)
            await stage.clock.sleep(2)
            await cluster.manager()

        async def watched() -> None:
            while True:
                status = (await stage.deployment())["status"]
                counts = (status.get("readyReplicas", 0), status.get("replicas", 0))
                assert counts[0] >= 8 and counts[1] <= 13, await stage.picture()  # 25% and 25% of ten
                await stage.clock.sleep(0.05)

        api.die_after(last_write)
        cluster.running += [asyncio.create_task(followed())]
        watcher = asyncio.create_task(watched())
        await flow(stage, name)
        if watcher.done():
            watcher.result()
        watcher.cancel()
        assert api.away, f"nobody was killed: the flow has no write {last_write}"

    play(story)


@pytest.mark.parametrize("name", FLOWS)
def test_the_kill_points_are_all_the_writes_of_a_flow(name: str) -> None:
    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        before = api.written
        await flow(cluster.stage, name)
        await cluster.clock.sleep(20)
        assert api.written - before == FLOWS[name], "put the number of its writes into FLOWS"

    play(story)


def test_a_minute_without_an_api_server_delays_a_release_and_no_more() -> None:
    """S44."""

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
    """S42, S43."""

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
    """S01."""

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
    """S02."""

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
