"""CronJobs, as a person sees them in the sandbox; and when schedules are due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from controller_stage import Play, play_in_sandbox

from kruise_rollouts.sandbox.controllers.cronjob import CRON_JOB
from kruise_rollouts.sandbox.controllers.job import JOB
from kruise_rollouts.sandbox.cron import schedule_of


async def every_minute(play: Play, seconds: int = 300, **spec: Any) -> None:
    sleep = ["sleep", str(seconds)]
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a", "command": sleep}]}
    job = {"spec": {"template": {"spec": pod}}}
    body = {"schedule": "*/1 * * * ?", "jobTemplate": job, **spec}
    await play.place.create(CRON_JOB, {"metadata": {"name": "c"}, "spec": body})


async def jobs(play: Play) -> list[str]:
    return sorted(j["metadata"]["name"] for j in await play.place.list(JOB))


async def status(play: Play) -> Any:
    found = await play.place.find(CRON_JOB, "c")
    assert found is not None
    return found["status"]


def test_a_job_starts_each_minute_beside_those_that_run() -> None:
    async def tell(play: Play) -> None:
        await every_minute(play)
        await play.place.wait(125)
        names = await jobs(play)
        assert len(names) == 2
        assert all(n.startswith("c-") for n in names)
        assert [ref["name"] for ref in (await status(play))["active"]] == names

    play_in_sandbox(tell)


def test_a_job_that_runs_keeps_the_next_from_starting_if_that_is_forbidden() -> None:
    async def tell(play: Play) -> None:
        await every_minute(play, concurrencyPolicy="Forbid")
        await play.place.wait(185)
        assert len(await jobs(play)) == 1

    play_in_sandbox(tell)


def test_a_job_that_runs_gives_way_if_it_is_to_be_replaced() -> None:
    async def tell(play: Play) -> None:
        await every_minute(play, concurrencyPolicy="Replace")
        await play.place.wait(65)
        first = await jobs(play)
        await play.place.wait(60)
        assert len(await jobs(play)) == 1
        assert await jobs(play) != first

    play_in_sandbox(tell)


def test_nothing_starts_while_it_is_suspended_and_what_was_missed_starts_once() -> None:
    async def tell(play: Play) -> None:
        await every_minute(play, suspend=True)
        await play.place.wait(200)
        assert await jobs(play) == []
        await play.place.patch(CRON_JOB, "c", {"spec": {"suspend": False}})
        await play.place.wait(1)
        assert len(await jobs(play)) == 1

    play_in_sandbox(tell)


def test_only_a_few_jobs_that_have_ended_are_kept() -> None:
    async def tell(play: Play) -> None:
        await every_minute(play, seconds=1, successfulJobsHistoryLimit=2)
        await play.place.wait(330)
        assert len(await jobs(play)) == 2
        found = await status(play)
        assert found["lastSuccessfulTime"] > found["lastScheduleTime"]
        assert "active" not in found

    play_in_sandbox(tell)


@pytest.mark.parametrize(
    ("text", "zone", "due"),
    [
        ("* * * * *", "", "2026-01-31T10:31"),
        ("*/20 * * * *", "", "2026-01-31T10:40"),
        ("5/20 * * * *", "", "2026-01-31T10:45"),
        ("0 9 * * mon-fri", "", "2026-02-02T09:00"),
        ("0 0 31 * *", "", "2026-03-31T00:00"),
        ("0 0 13 * fri", "", "2026-02-06T00:00"),
        ("@monthly", "", "2026-02-01T00:00"),
        ("@every 1h30m", "", "2026-01-31T12:00"),
        ("0 12 * * *", "Asia/Tokyo", "2026-02-01T03:00"),
        ("0 0 29 feb *", "", "2028-02-29T00:00"),
        ("0 0 30 2 *", "", ""),
    ],
)
def test_a_schedule_is_due_when_cron_says(text: str, zone: str, due: str) -> None:
    found = schedule_of(text, zone).next_after(datetime(2026, 1, 31, 10, 30, tzinfo=UTC))
    assert (found.strftime("%Y-%m-%dT%H:%M") if found else "") == due
