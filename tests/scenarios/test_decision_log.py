"""What the log tells of a release: enough to follow it, and nothing at rest; and what telling it costs."""

from __future__ import annotations

import logging

import pytest

from .sandbox_cluster import Cluster, play

Line = dict[str, object]


def lines(caplog: pytest.LogCaptureFixture) -> list[Line]:
    """The decision log: the pairs of each line, with its message as `line`."""
    found = [r for r in caplog.records if r.name.endswith(".journal") and r.levelno >= logging.INFO]
    return [{**r.__dict__["fields"], "line": r.getMessage()} for r in found]


async def at_the_first_pause(cluster: Cluster) -> None:
    await cluster.manager()
    await cluster.begin()
    await cluster.stage.set_version("version-2")
    await cluster.stage.until_paused(1)


def test_a_release_can_be_followed_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A whole release left no line."""
    caplog.set_level(logging.INFO, logger="kruise_rollouts")

    async def story(cluster: Cluster) -> None:
        await cluster.manager()
        await cluster.begin()
        caplog.clear()
        await cluster.stage.set_version("version-2")
        await cluster.finish()
        await cluster.clock.sleep(60)
        revision = (await cluster.stage.rollout())["status"]["canaryStatus"]["canaryRevision"]
        found = [line for line in lines(caplog) if line["controller"] == "rollout"]
        assert all((line["namespace"], line["rollout"]) == ("default", "busybox") for line in found)
        assert {line["revision"] for line in found} == {revision}
        told = [(line["step"], str(line["text"])) for line in found if line["line"] == "told"]
        assert told[0][0] == "1/3" and told[0][1].startswith(f"release of revision {revision} begins")
        assert told[-1] == ("3/3", f"release of revision {revision} is complete")
        moves = [(line["was"], line["now"]) for line in found if line["line"] == "moved"]
        assert ("Progressing InRolling 1/3 StepUpgrade", "Progressing InRolling 1/3 StepPaused") in moves
        assert moves[-1][1] == "Healthy Completed 3/3 Completed"
        batches = [line["now"] for line in lines(caplog) if line["controller"] == "batchrelease"]
        assert "Progressing 2/3 Ready" in batches and batches[-1] == "Completed 3/3 Ready"
        assert len(lines(caplog)) <= 25

    play(story)


def test_nothing_is_logged_at_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kruise_rollouts")

    async def story(cluster: Cluster) -> None:
        await at_the_first_pause(cluster)
        await cluster.clock.sleep(60)
        caplog.clear()
        await cluster.clock.sleep(7200)
        assert lines(caplog) == []

    play(story)


def test_a_warning_is_one_line_though_it_is_told_of_two_objects(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kruise_rollouts")

    async def story(cluster: Cluster) -> None:
        await at_the_first_pause(cluster)
        await cluster.stage.edit_step({"nextStepIndex": 9})
        await cluster.clock.sleep(5)
        records = [r for r in caplog.records if r.levelno == logging.WARNING]
        (warning,) = [r for r in records if r.name.endswith(".journal")]
        assert "nextStepIndex 9 is ignored" in warning.__dict__["fields"]["text"]

    play(story)


def test_a_release_of_ten_pods_in_three_steps_costs_at_most_sixty_requests() -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.manager()
        await cluster.begin()
        await cluster.clock.sleep(60)
        cluster.asked.clear()
        await cluster.stage.set_version("version-2")
        await cluster.finish()
        await cluster.clock.sleep(60)
        asked = [f"{method} {path}" for method, path in cluster.asked if method != "WATCH"]
        events = [request for request in asked if "/events" in request]
        assert len(events) <= 11, events
        assert len(asked) <= 60, asked

    play(story)
