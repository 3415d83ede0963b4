"""What people see when we fail: killed at any write, without an API server, with two of us, without webhooks.

In the sandbox only: there every write can be the last one, and a minute without an API server takes no time. What
happens to a real process on a real API server is in test_own_failure_of_a_process.py.
"""

from __future__ import annotations

import pytest

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, LEASE

from .on_sandbox import HOST
from .sandbox_cluster import LEASE_NAME, Cluster, play


@pytest.mark.slow
@pytest.mark.parametrize("last_write", range(30))
def test_a_manager_killed_after_any_write_is_followed_by_one_that_goes_on(last_write: int) -> None:
    """S43."""

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
