"""A process starts its parts in order, says when it is ready, and stops without leaving things half done."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest
from fake_server import FakeServer
from virtual import virtually

from kruise_rollouts.kube.admission import ALLOWED, AdmissionRequest, AdmissionResponse
from kruise_rollouts.kube.effects import Note
from kruise_rollouts.kube.errors import Unavailable
from kruise_rollouts.kube.objects import EVENT, LEASE, ROLLOUT
from kruise_rollouts.runtime.clock import LoopClock
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.runtime.events import Recorder
from kruise_rollouts.runtime.health import HttpServer, health_app, metrics_app
from kruise_rollouts.runtime.leader import Elector, LeaseLost
from kruise_rollouts.runtime.manager import STOP_SECONDS, SYNC_SECONDS, Manager, StartFailed
from kruise_rollouts.runtime.queue import Closed, WorkQueue
from kruise_rollouts.runtime.telemetry import Metrics
from kruise_rollouts.runtime.webhook import WebhookApp

REVIEW = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}


class Source:
    """An informer that fills its cache after a while, and may die."""

    def __init__(self, diary: list[str], *, seconds: float = 3, dies_after: float = 0) -> None:
        self.synced = asyncio.Event()
        self.diary = diary
        self.seconds = seconds
        self.dies_after = dies_after

    def renew(self) -> None:
        self.diary.append("renewed")

    async def run(self) -> None:
        await asyncio.sleep(self.seconds)
        self.diary.append("synced")
        self.synced.set()
        if self.dies_after:
            await asyncio.sleep(self.dies_after)
            raise ZeroDivisionError("a bug")
        await asyncio.Event().wait()


class Worker:
    """Works each key for some seconds."""

    def __init__(self, diary: list[str], *, seconds: float = 5) -> None:
        self.queue = WorkQueue(LoopClock())
        self.diary = diary
        self.seconds = seconds
        self.tell = lambda note: None

    async def run(self) -> None:
        self.diary.append("controllers")
        while True:
            try:
                key: Key = await self.queue.get()
            except Closed:
                return
            self.diary.append(f"begin {key[1]}")
            await asyncio.sleep(self.seconds)
            self.tell(Note(ROLLOUT.ref(*key), "Done", "done"))
            self.diary.append(f"end {key[1]}")
            self.queue.done(key)


class Listener:
    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.listening = False

    async def start(self) -> None:
        self.listening = True
        self.diary.append("listen")

    async def stop(self) -> None:
        self.listening = False
        self.diary.append("deaf")


class Stage:
    def __init__(
        self,
        *,
        work_seconds: float = 5,
        sync_seconds: float = 3,
        dies_after: float = 0,
        lease: str = "me",
        admits_after: float | None = None,
    ) -> None:
        self.diary: list[str] = []
        self.server = FakeServer(LEASE, EVENT)
        clock = LoopClock()
        self.worker = Worker(self.diary, seconds=work_seconds)
        self.recorder = Recorder(self.server, clock, component="test")
        self.worker.tell = self.recorder.tell
        self.elector = Elector(self.server, clock, ns="ns", name="lock", identity=lease)
        self.app = WebhookApp(clock)
        sources = [Source(self.diary, seconds=sync_seconds, dies_after=dies_after)]
        if admits_after is not None:
            sources.append(Source([], seconds=admits_after))
        self.manager = Manager(
            clock,
            sources=sources,
            admits_after=sources[1:] or None,
            workers=[self.worker],
            recorder=self.recorder,
            elector=self.elector,
            webhooks=(self.app, Listener(self.diary)),
        )
        self.task = asyncio.create_task(self.manager.run())

    @property
    def holder(self) -> str:
        return str(self.server.objects[("leases", "ns", "lock")]["spec"]["holderIdentity"])


@virtually
async def test_admission_answers_as_soon_as_what_it_looks_at_is_known() -> None:
    stage = Stage(admits_after=1, sync_seconds=20)

    async def judge(request: AdmissionRequest) -> AdmissionResponse:
        return ALLOWED

    stage.app.route("/judge", judge)
    body = msgspec.json.encode({**REVIEW, "request": {"uid": "1"}})
    began = asyncio.get_running_loop().time()
    status, _ = await stage.app.respond("/judge", body)
    assert (status, asyncio.get_running_loop().time() - began) == (200, 1)
    assert stage.diary == ["listen"] and not stage.manager.ready
    await asyncio.sleep(20)
    assert stage.manager.ready and "controllers" in stage.diary
    stage.manager.stop()
    await stage.task


@virtually
async def test_parts_start_in_order_and_readiness_follows_them() -> None:
    stage = Stage()
    stage.worker.queue.add(("ns", "a"))
    await asyncio.sleep(1)
    assert stage.diary == ["listen"]
    assert stage.manager.checks()["webhooks listen"] and not stage.manager.ready
    await asyncio.sleep(3)
    assert stage.diary == ["listen", "synced", "controllers", "begin a"]
    assert stage.manager.ready
    stage.manager.stop()
    await stage.task


@virtually
async def test_a_stop_finishes_the_key_in_hand_tells_its_event_gives_the_lease_back_and_only_then_goes_deaf() -> (
    None
):
    stage = Stage()
    stage.worker.queue.add(("ns", "a"))
    stage.worker.queue.add(("ns", "b"))
    stage.server.fail(
        "POST", lambda: None, Unavailable("for a moment", retry_after=3)
    )  # the lease, the Event
    await asyncio.sleep(4)
    stage.manager.stop()
    await asyncio.sleep(0)
    assert not stage.manager.ready
    await stage.task
    assert stage.diary[-3:] == ["begin a", "end a", "deaf"]
    assert [e["reason"] for (p, _, _), e in stage.server.objects.items() if p == "events"] == ["Done"]
    assert stage.holder == ""


@virtually
async def test_a_key_that_takes_too_long_does_not_hold_up_the_stop() -> None:
    stage = Stage(work_seconds=10_000)
    stage.worker.queue.add(("ns", "a"))
    await asyncio.sleep(4)
    stage.manager.stop()
    await stage.task
    assert LoopClock().mono() <= 4 + STOP_SECONDS + 3
    assert stage.holder == ""


@virtually
async def test_a_replica_that_takes_over_looks_anew_before_it_works() -> None:
    """S43, S44: what ended the leader may have cut our watches off as well."""
    stage = Stage()
    stage.server.put("leases", "ns", "lock", spec={"holderIdentity": "other", "leaseDurationSeconds": 30})
    await asyncio.sleep(40)
    assert stage.diary == ["listen", "synced", "renewed", "controllers"]
    stage.manager.stop()
    await stage.task


@virtually
async def test_a_replica_that_waits_for_the_lease_is_ready_and_stops_at_once() -> None:
    stage = Stage()
    stage.server.put("leases", "ns", "lock", spec={"holderIdentity": "other", "leaseDurationSeconds": 3600})
    await asyncio.sleep(60)
    assert stage.manager.ready
    assert "controllers" not in stage.diary
    stage.manager.stop()
    await stage.task
    assert LoopClock().mono() < 64
    assert stage.holder == "other"


@virtually
async def test_losing_the_lease_ends_the_process() -> None:
    stage = Stage()
    await asyncio.sleep(4)
    stage.server.down = True
    with pytest.raises(LeaseLost):
        await stage.task
    assert stage.diary[-1] == "deaf"


@virtually
async def test_caches_that_do_not_fill_are_an_error_not_a_wait_for_ever() -> None:
    stage = Stage(sync_seconds=10_000)
    with pytest.raises(StartFailed, match="caches"):
        await stage.task
    assert LoopClock().mono() <= SYNC_SECONDS + 3


@virtually
async def test_a_part_that_dies_takes_the_process_with_it() -> None:
    stage = Stage(dies_after=60)
    with pytest.raises(ZeroDivisionError):
        await stage.task
    assert stage.holder == ""


@virtually
async def test_a_stop_while_caches_are_being_filled_is_obeyed() -> None:
    stage = Stage(sync_seconds=100)
    await asyncio.sleep(1)
    stage.manager.stop()
    await stage.task
    assert "controllers" not in stage.diary


async def test_probes_and_metrics_are_served() -> None:
    checks = {"caches are synced": True, "webhooks listen": False}
    metrics = Metrics()
    metrics.event_dropped()
    metrics.reconciled("rollout", "ok", 0.01)
    metrics.level("queue_depth", "Keys waiting.", lambda: 7, label="controller", value="rollout")
    health, numbers = (
        HttpServer(health_app(lambda: checks), "127.0.0.1:0"),
        HttpServer(metrics_app(metrics.show), "127.0.0.1:0"),
    )
    nowhere = HttpServer(health_app(lambda: checks), "0")
    for server in (health, numbers, nowhere):
        await server.start()
    assert nowhere.port == 0
    try:
        async with aiohttp.ClientSession() as session:

            async def get(port: int, path: str) -> tuple[int, str]:
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    return response.status, await response.text()

            assert (await get(health.port, "/healthz"))[0] == 200
            assert await get(health.port, "/readyz") == (503, "[+] caches are synced\n[-] webhooks listen\n")
            checks["webhooks listen"] = True
            assert (await get(health.port, "/readyz"))[0] == 200
            text = (await get(numbers.port, "/metrics"))[1]
    finally:
        for server in (health, numbers):
            await server.stop()
    assert "kruise_rollout_events_dropped_total 1.0" in text
    assert 'kruise_rollout_reconcile_total{controller="rollout",outcome="ok"} 1.0' in text
    assert 'kruise_rollout_queue_depth{controller="rollout"} 7.0' in text
