"""Events: told once, counted when repeated, never in the way of the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fake_server import FakeServer
from virtual import virtually

from kruise_rollouts.kube.effects import Note
from kruise_rollouts.kube.errors import Forbidden, InternalError, Unavailable
from kruise_rollouts.kube.objects import EVENT, NODE, ROLLOUT
from kruise_rollouts.runtime.clock import LoopClock
from kruise_rollouts.runtime.events import BURST, KEEP_SECONDS, PENDING, RETRY_LONGEST, Recorder

DEMO = ROLLOUT.ref("shop", "demo")
STEP = Note(DEMO, "StepReady", "step 1 is ready")


@asynccontextmanager
async def recording(
    server: FakeServer, on_drop: Callable[[], None] = lambda: None
) -> AsyncIterator[Recorder]:
    recorder = Recorder(
        server,
        LoopClock(),
        component="rollout-controller",
        uid_of=lambda ref: f"uid-of-{ref.name}",
        on_drop=on_drop,
    )
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        assert not task.done()
        task.cancel()


def events(server: FakeServer) -> list[dict[str, Any]]:
    return [obj for (plural, _, _), obj in server.objects.items() if plural == "events"]


@virtually
async def test_a_note_becomes_an_event_on_its_object() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        recorder.tell(STEP)
        await recorder.flush(5)
        (event,) = events(server)
        assert event["metadata"]["namespace"] == "shop"
        assert event["involvedObject"] == {
            "apiVersion": "rollouts.kruise.io/v1beta1",
            "kind": "Rollout",
            "namespace": "shop",
            "name": "demo",
            "uid": "uid-of-demo",
        }
        assert (event["reason"], event["message"], event["type"]) == (
            "StepReady",
            "step 1 is ready",
            "Normal",
        )
        assert event["source"] == {"component": "rollout-controller"}
        assert event["count"] == 1


@virtually
async def test_repetitions_are_counted_on_one_event() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        for _ in range(5):
            recorder.tell(STEP)
            await asyncio.sleep(60)
        assert [e["count"] for e in events(server)] == [5]
        assert events(server)[0]["firstTimestamp"] < events(server)[0]["lastTimestamp"]


@virtually
async def test_repetitions_within_a_moment_cost_one_request() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        for _ in range(100):
            recorder.tell(STEP)
        await recorder.flush(5)
        assert len(server.calls) == 1
        assert events(server)[0]["count"] == 100


@virtually
async def test_the_same_thing_much_later_is_a_new_event() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        recorder.tell(STEP)
        await asyncio.sleep(3600)
        recorder.tell(STEP)
        await recorder.flush(5)
        assert [e["count"] for e in events(server)] == [1, 1]


@virtually
async def test_an_event_that_has_expired_is_made_again() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        recorder.tell(STEP)
        await recorder.flush(5)
        server.objects.clear()
        recorder.tell(STEP)
        await recorder.flush(5)
        assert [e["count"] for e in events(server)] == [2]


@virtually
async def test_an_event_about_a_cluster_scoped_object_lives_in_default() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        recorder.tell(Note(NODE.ref("", "n1"), "Odd", "odd"))
        await recorder.flush(5)
        assert events(server)[0]["metadata"]["namespace"] == "default"
        assert "namespace" not in events(server)[0]["involvedObject"]


@virtually
async def test_a_server_that_is_away_for_a_moment_gets_the_event_later() -> None:
    server = FakeServer(EVENT)
    server.fail("POST", Unavailable("away"), Unavailable("away"))
    async with recording(server) as recorder:
        recorder.tell(STEP)
        await recorder.flush(30)
        assert len(events(server)) == 1


@virtually
async def test_an_outage_of_a_minute_loses_no_event_and_keeps_their_order_and_time() -> None:
    """An outage of 15 s lost "release ... begins"."""
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        server.down = True
        for reason in ("First", "Second", "Third"):
            recorder.tell(Note(DEMO, reason, "told while nobody listened"))
        told_at = LoopClock().now()
        await asyncio.sleep(60)
        server.down = False
        await recorder.flush(RETRY_LONGEST + 1)
        assert [e["reason"] for e in events(server)] == ["First", "Second", "Third"]
        assert {e["lastTimestamp"] for e in events(server)} == {told_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        assert recorder.dropped == 0
        assert len(server.calls) < 20, "asked too often"


@virtually
async def test_events_of_an_outage_that_lasts_are_given_up_and_counted() -> None:
    server = FakeServer(EVENT)
    counted: list[str] = []
    async with recording(server, on_drop=lambda: counted.append("one")) as recorder:
        server.down = True
        for i in range(100):
            recorder.tell(Note(DEMO, "StepReady", f"step {i}"))
        await asyncio.sleep(KEEP_SECONDS + 2 * RETRY_LONGEST)
        assert recorder.dropped == len(counted) == 100
        server.down = False
        recorder.tell(Note(DEMO, "Other", "other"))
        await recorder.flush(5)
        assert [e["reason"] for e in events(server)] == ["Other"]


@virtually
async def test_one_event_that_the_server_breaks_on_does_not_keep_the_others_back() -> None:
    server = FakeServer(EVENT)
    server.fail("POST", InternalError("broken"))
    async with recording(server) as recorder:
        recorder.tell(STEP)
        recorder.tell(Note(DEMO, "Other", "other"))
        await recorder.flush(5)
        assert [e["reason"] for e in events(server)] == ["Other", "StepReady"]


@virtually
async def test_an_event_that_is_refused_is_dropped_and_the_next_one_sent() -> None:
    server = FakeServer(EVENT)
    server.fail("POST", Forbidden("the namespace is being terminated"))
    async with recording(server) as recorder:
        recorder.tell(STEP)
        recorder.tell(Note(DEMO, "Other", "other"))
        await recorder.flush(30)
        assert [e["reason"] for e in events(server)] == ["Other"]
        assert recorder.dropped == 1


@virtually
async def test_a_talkative_object_is_cut_short() -> None:
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        for i in range(2 * BURST):
            recorder.tell(Note(DEMO, "Many", f"number {i}"))
        recorder.tell(Note(ROLLOUT.ref("shop", "other"), "Many", "one"))
        await recorder.flush(5)
        assert len(events(server)) == BURST + 1
        assert recorder.dropped == BURST


@virtually
async def test_what_an_object_repeats_does_not_keep_its_end_from_being_told() -> None:
    """After 25 steps "release ... is complete" was not told any more."""
    server = FakeServer(EVENT)
    async with recording(server) as recorder:
        for i in range(2 * BURST):
            recorder.tell(Note(DEMO, "Progressing", f"step {i} done"))
        recorder.tell(Note(DEMO, "Completed", "the release is complete"))
        await recorder.flush(5)
        assert events(server)[-1]["reason"] == "Completed"


@virtually
async def test_what_piles_up_while_the_server_is_away_is_bounded() -> None:
    server = FakeServer(EVENT)
    server.down = True
    async with recording(server) as recorder:
        for i in range(3000):
            recorder.tell(Note(ROLLOUT.ref("shop", f"r{i}"), "One", "one"))
        assert recorder.dropped >= 3000 - PENDING - 1
        server.down = False
        await asyncio.sleep(60)
        assert PENDING - 1 <= len(events(server)) <= PENDING + 1


@virtually
async def test_a_stop_does_not_wait_for_ever_for_a_server_that_is_away() -> None:
    server = FakeServer(EVENT)
    server.down = True
    async with recording(server) as recorder:
        recorder.tell(STEP)
        await recorder.flush(5)
        assert LoopClock().mono() <= 6
