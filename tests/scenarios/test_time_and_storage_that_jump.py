"""Clocks that are set, a cluster that is restored from a backup, watches that lag: nothing is released unasked.

In the sandbox only: a real API server's clock and storage are not a test's to set.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kruise_rollouts.kube.errors import Forbidden
from kruise_rollouts.kube.objects import ROLLOUT
from kruise_rollouts.runtime.clock import LoopClock

from .sandbox_cluster import Cluster, play
from .stage import a_step

pytestmark = pytest.mark.slow


class WrongClock(LoopClock):
    """Goes as fast as the others but shows another time."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


async def timed(cluster: Cluster, seconds: int) -> None:
    """A plan whose first step waits for `seconds`."""
    await cluster.begin()
    await cluster.stage.set_steps(a_step(2, seconds), a_step("50%"), a_step("100%"))
    await cluster.stage.until_phase("Healthy")
    await cluster.stage.set_version("version-2")
    await cluster.stage.until_paused(1)


@pytest.mark.parametrize("hours", [1, -1, 24 * 400])
def test_a_clock_that_is_set_during_a_pause_neither_stops_nor_skips_a_step(hours: int) -> None:
    """S11. A pause of a minute may be shorter then, or up to twice as long; not longer by an hour."""
    wrong = WrongClock()

    async def story(cluster: Cluster) -> None:
        await cluster.manager(clock=wrong)
        await timed(cluster, 60)
        await cluster.stage.clock.sleep(30)
        wrong.ahead = timedelta(hours=hours)
        await cluster.stage.until_paused(2, within=140)
        assert await cluster.stage.versions() == {"version-5": 5, "version-2": 5}
        await cluster.stage.clock.sleep(30)
        await cluster.stage.until_paused(2)
        await cluster.stage.approve()
        await cluster.stage.until_phase("Healthy")
        await cluster.stage.until_versions({"version-2": 10})

    play(story)


@pytest.mark.parametrize("minutes", [10, -10])
def test_the_next_manager_has_another_idea_of_the_time(minutes: int) -> None:
    """S11."""
    wrong = WrongClock()
    wrong.ahead = timedelta(minutes=minutes)

    async def story(cluster: Cluster) -> None:
        first = await cluster.manager("first")
        await timed(cluster, 60)
        await cluster.manager("second", clock=wrong)
        await first.kill()
        await cluster.stage.until_paused(2, within=150)
        await cluster.stage.approve()
        await cluster.stage.until_phase("Healthy")
        await cluster.stage.until_versions({"version-2": 10})

    play(story)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("lost", ["the second step", "the whole release"])
def test_a_cluster_restored_from_before_an_approval_asks_for_it_again(
    tmp_path: Path, lost: str, restarted: bool
) -> None:
    """S53: what was approved after the backup was made is not known to it, and must not be done."""
    backup = tmp_path / "backup"

    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        if lost == "the second step":
            await cluster.stage.set_version("version-2")
            await cluster.stage.until_paused(1)
            await cluster.stage.clock.sleep(5)
        shutil.copytree(tmp_path / "data", backup)
        if lost == "the whole release":
            await cluster.stage.set_version("version-2")
            await cluster.stage.until_paused(1)
        await cluster.stage.approve()
        await cluster.stage.until_paused(2)
        if restarted:
            await api.kill()
        await cluster.restore(backup)
        if restarted:
            await cluster.manager()
        stage = cluster.stage
        if lost == "the second step":
            await stage.until_versions({"version-5": 8, "version-2": 2})
            await stage.stays({"version-5": 8, "version-2": 2}, seconds=120)
            await stage.until_paused(1)
        else:
            await stage.until_versions({"version-5": 10})
            await stage.stays({"version-5": 10}, seconds=120)
            await stage.set_version("version-2")
        await cluster.finish()

    play(story, data=tmp_path / "data")


def test_watches_that_lag_by_seconds_repeat_and_skip_no_step() -> None:
    """S44: what was written, it sees at once; what others do, late."""

    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        api.lag = 3.0
        await cluster.stage.set_version("version-2")
        for step, new in ((1, 2), (2, 5)):
            await cluster.stage.until_paused(step, within=120)
            assert (await cluster.stage.versions())["version-2"] == new
            await cluster.stage.approve()
            await cluster.stage.approve()
        await cluster.stage.until_phase("Healthy", within=120)
        await cluster.stage.until_versions({"version-2": 10})

    play(story)


def test_what_cuts_the_leader_off_leaves_the_standby_with_dead_watches() -> None:
    """S43, S44: it looks anew before it goes on, and makes no more pods new than the step asks for."""

    async def story(cluster: Cluster) -> None:
        first = await cluster.manager("first")
        await cluster.begin()
        second = await cluster.manager("second")
        await cluster.stage.clock.sleep(10)
        await cluster.stage.set_version("version-2")
        await cluster.stage.until_paused(1)
        second.deafen()
        await cluster.stage.approve()
        await cluster.stage.clock.sleep(0.3)
        await first.kill()
        await cluster.stage.until_paused(2, within=60)
        assert await cluster.stage.versions() == {"version-5": 5, "version-2": 5}
        await cluster.stage.approve()
        await cluster.stage.until_phase("Healthy", within=60)
        await cluster.stage.until_versions({"version-2": 10})

    play(story)


@pytest.mark.parametrize("kind", ["replicasets", "deployments", "batchreleases"])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.35, 0.6])
def test_a_kind_of_which_nothing_is_heard_any_more_lets_no_pod_too_many_go(kind: str, after: float) -> None:
    """S44. Until the kernel finds out that the connection is dead."""

    async def story(cluster: Cluster) -> None:
        stage = cluster.stage
        api = await cluster.manager()
        await cluster.begin()
        await stage.set_version("version-2")
        await stage.until_paused(1)
        await stage.approve()
        await stage.clock.sleep(after)
        api.deafen(kind)

        async def within_the_step() -> bool:
            return (await stage.versions()).get("version-2", 0) <= 5

        await stage.always("no more pods than step 2 asks for are new", within_the_step, seconds=25)
        await api.drop_watches()
        await stage.until_paused(2, within=30)
        await stage.until_versions({"version-5": 5, "version-2": 5})

    play(story)


def test_a_right_that_was_missing_for_an_hour_is_used_within_ten_seconds_once_it_is_given() -> None:
    """S46."""

    async def story(cluster: Cluster) -> None:
        api = await cluster.manager()
        await cluster.begin()
        await cluster.stage.set_version("version-2")
        await cluster.stage.until_paused(1)
        api.refusal = Forbidden('deployments.apps "busybox" is forbidden')
        await cluster.stage.approve()
        await cluster.stage.clock.sleep(3600)
        assert await cluster.stage.versions() == {"version-5": 8, "version-2": 2}
        events = await cluster.stage.events("Rollout", "busybox")
        events += await cluster.stage.events("BatchRelease", "busybox")
        events += await cluster.stage.events("Deployment", "busybox")
        assert any("refuses a write that is needed" in e["message"] for e in events)
        api.refusal = None
        await cluster.stage.until_paused(2, within=12)
        await cluster.stage.patch(ROLLOUT, "busybox", {"metadata": {"labels": {"a": "b"}}})
        await cluster.stage.approve()
        await cluster.stage.until_phase("Healthy")

    play(story)
