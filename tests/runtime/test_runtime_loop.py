"""Workers: keys are folded, waited for, retried; one bad key never stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from fake_server import FakeServer
from msgspec import Struct
from virtual import virtually

from kruise_rollouts.kube.effects import Decision, Note, Patch, Write
from kruise_rollouts.kube.errors import Conflict, InternalError
from kruise_rollouts.kube.objects import CONFIG_MAP, Meta
from kruise_rollouts.runtime.apply import Applier
from kruise_rollouts.runtime.cache import Cache
from kruise_rollouts.runtime.clock import LoopClock
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.runtime.loop import Loop


class Box(Struct, frozen=True, gc=False):
    metadata: Meta = Meta()
    data: dict[str, str] = {}


class Seen(Struct, frozen=True):
    box: Box
    status: str
    now: datetime


class Painter:
    """Makes every box red, and says so; `also` may raise or wait."""

    name = "painter"

    def __init__(self, also: Callable[[Key], None] = lambda key: None, wake: timedelta | None = None) -> None:
        self.also = also
        self.wake = wake
        self.looks: list[tuple[Key, float]] = []
        self.hang: set[str] = set()

    async def observe(self, key: Key, world: Cache[Box], now: datetime, pending: str | None) -> Seen | None:
        self.looks.append((key, LoopClock().mono()))
        self.also(key)
        if key[1] in self.hang:
            await asyncio.sleep(100_000)
        box = world.get(*key)
        return None if box is None else Seen(box, pending or box.data.get("status", ""), now)

    def decide(self, seen: Seen) -> Decision[str]:
        ref = CONFIG_MAP.ref("ns", seen.box.metadata.name)
        at = seen.box.metadata.resource_version
        writes: tuple[Write, ...] = ()
        if seen.box.data.get("color") != "red":
            writes = (Patch(ref, {"data": {"color": "red"}}, resource_version=at),)
        wake = seen.now + self.wake if self.wake else None
        notes = (Note(ref, "Painted", "red now"),) if writes else ()
        return Decision("done", writes, wake, notes)

    def persist(self, seen: Seen, status: str) -> Write | None:
        if seen.box.data.get("status") == status:
            return None
        return Patch(CONFIG_MAP.ref("ns", seen.box.metadata.name), {"data": {"status": status}})


class Stage:
    def __init__(self, painter: Painter, *names: str, seconds: float = 120) -> None:
        self.clock = LoopClock()
        self.server = FakeServer(CONFIG_MAP)
        self.cache = Cache(Box)
        self.painter = painter
        self.notes: list[Note] = []
        self.outcomes: list[str] = []
        apply = Applier(self.server, {("v1", "ConfigMap"): self.cache}, field_manager="test")
        self.loop = Loop(
            painter,
            self.cache,
            apply=apply,
            tell=self.notes.append,
            clock=self.clock,
            meter=self,
            reconcile_seconds=seconds,
        )
        for name in names:
            self.server.put("configmaps", "ns", name, data={"color": "grey"})
            self.look(name)
            self.loop.queue.add(("ns", name))
        self.task = asyncio.ensure_future(self.loop.run())

    def look(self, name: str) -> None:
        obj = self.server.objects[("configmaps", "ns", name)]
        self.cache.put(Box(Meta(name=name, namespace="ns", uid=obj["metadata"]["uid"], resource_version=obj["metadata"]["resourceVersion"]), obj["data"]))  # fmt: skip

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None:
        self.outcomes.append(outcome)

    def data(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self.server.objects[("configmaps", "ns", name)]["data"]
        return data

    async def end(self) -> None:
        self.loop.queue.close()
        await self.task


PAINTED = {"color": "red", "status": "done"}


@virtually
async def test_a_key_is_folded_to_rest_and_its_status_stored_once() -> None:
    stage = Stage(Painter(), "a", "b")
    await asyncio.sleep(1)
    assert stage.data("a") == stage.data("b") == PAINTED
    assert stage.server.count("PATCH") == 4
    assert {n.reason for n in stage.notes} == {"Painted"}
    await stage.end()


@virtually
async def test_a_key_is_looked_at_again_exactly_when_its_decision_said() -> None:
    painter = Painter(wake=timedelta(minutes=10))
    stage = Stage(painter, "a")
    await asyncio.sleep(1)
    looks = len(painter.looks)
    await asyncio.sleep(598)
    assert len(painter.looks) == looks
    await asyncio.sleep(2)
    assert painter.looks[looks][1] == 600
    await stage.end()


@virtually
async def test_a_bug_with_one_key_leaves_the_others_alone_and_is_retried_ever_less_often() -> None:
    def also(key: Key) -> None:
        if key[1] == "bad":
            raise ZeroDivisionError("a bug")

    stage = Stage(Painter(also), "bad", "good")
    await asyncio.sleep(100)
    assert stage.data("good") == PAINTED
    assert 15 < stage.outcomes.count("bug") < 40
    await stage.end()


@virtually
async def test_a_key_that_did_well_starts_from_the_shortest_pause_when_it_fails_again() -> None:
    failing = True

    def also(key: Key) -> None:
        if failing:
            raise ZeroDivisionError("a bug")

    stage = Stage(Painter(also), "a")
    await asyncio.sleep(100)
    failing = False
    await asyncio.sleep(15)
    failing = True
    before = len(stage.outcomes)
    stage.loop.queue.add(("ns", "a"))
    await asyncio.sleep(1)
    assert len(stage.outcomes) > before + 5
    await stage.end()


@virtually
async def test_a_conflict_is_decided_again_at_once_on_what_is_live() -> None:
    stage = Stage(Painter(), "a")
    stage.server.put("configmaps", "ns", "a", data={"color": "blue", "theirs": "kept"})  # the cache is behind
    await asyncio.sleep(0.001)
    assert stage.data("a") == {**PAINTED, "theirs": "kept"}
    assert stage.outcomes == ["ok"]
    await stage.end()


@virtually
async def test_endless_conflicts_end_in_back_off() -> None:
    stage = Stage(Painter(), "a")
    stage.server.fail("PATCH", *(Conflict("again") for _ in range(60)))
    await asyncio.sleep(60)
    assert stage.data("a") == PAINTED
    assert stage.outcomes.count("conflict") == 10
    await stage.end()


@virtually
async def test_a_refused_write_is_tried_again_when_the_server_asks() -> None:
    stage = Stage(Painter(), "a")
    stage.server.fail("PATCH", InternalError("later", retry_after=30))
    await asyncio.sleep(29)
    assert stage.data("a") == {"color": "grey"}
    await asyncio.sleep(2)
    assert stage.data("a") == PAINTED
    await stage.end()


@virtually
async def test_what_was_done_is_told_although_the_status_could_not_be_stored_after_it() -> None:
    """A Warning `Held` never appeared: the decision to hold is not made a second time."""
    stage = Stage(Painter(), "a")

    def then_fail() -> None:
        stage.server.fail("PATCH", InternalError("later", retry_after=30))

    stage.server.fail("PATCH", then_fail)
    await asyncio.sleep(1)
    assert stage.data("a") == {"color": "red"} and [n.reason for n in stage.notes] == ["Painted"]
    await asyncio.sleep(60)
    assert stage.data("a") == PAINTED
    assert len(stage.notes) == 1, "told twice"
    await stage.end()


@virtually
async def test_what_could_not_be_written_is_not_told() -> None:
    stage = Stage(Painter(), "a")
    stage.server.fail("PATCH", InternalError("later", retry_after=30))
    await asyncio.sleep(1)
    assert stage.notes == []
    await asyncio.sleep(60)
    assert len(stage.notes) == 1
    await stage.end()


class Judge(Painter):
    """Paints nothing; tells of the status it decides."""

    def decide(self, seen: Seen) -> Decision[str]:
        ref = CONFIG_MAP.ref("ns", seen.box.metadata.name)
        notes = () if seen.status == "done" else (Note(ref, "Judged", "done now"),)
        return Decision("done", notes=notes)


@virtually
async def test_a_status_is_told_of_once_when_it_is_stored() -> None:
    stage = Stage(Judge(), "a")
    stage.server.fail("PATCH", Conflict("faster"), InternalError("later", retry_after=30))
    await asyncio.sleep(1)
    assert stage.notes == []
    await asyncio.sleep(60)
    assert stage.data("a")["status"] == "done"
    assert [n.reason for n in stage.notes] == ["Judged"]
    await stage.end()


@virtually
async def test_a_reconcile_that_hangs_is_ended_and_does_not_hold_its_worker_for_ever() -> None:
    painter = Painter()
    painter.hang.add("stuck")
    stage = Stage(painter, "stuck", "a", seconds=20)
    await asyncio.sleep(1)
    assert stage.data("a") == PAINTED
    painter.hang.clear()
    await asyncio.sleep(30)
    assert stage.data("stuck") == PAINTED
    assert stage.outcomes.count("timeout") == 1
    await stage.end()


@virtually
async def test_a_gone_object_needs_no_decision() -> None:
    stage = Stage(Painter())
    stage.loop.queue.add(("ns", "never-there"))
    await asyncio.sleep(1)
    assert stage.outcomes == ["ok"]
    await stage.end()


@virtually
async def test_closing_the_queue_lets_keys_in_hand_finish() -> None:
    stage = Stage(Painter(), "a")
    stage.server.latency = lambda: 3.0
    await asyncio.sleep(1)  # the first write is under way
    await stage.end()
    assert stage.data("a") == PAINTED
