"""Leader election: never two leaders, whatever the network does; a new one soon after the old one is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
from fake_server import FakeServer
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import virtually

from kruise_rollouts.kube.errors import Unavailable
from kruise_rollouts.kube.objects import LEASE
from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.runtime.leader import Elector, FencedApi, LeaseLost, LeaseTimes

KEY = ("leases", "ns", "lock")


def an_elector(api, identity: str, seed: int = 1) -> Elector:
    return Elector(api, LoopClock(), ns="ns", name="lock", identity=identity, rng=Random(seed))


def holder(server: FakeServer) -> str:
    return str(server.objects[KEY]["spec"].get("holderIdentity"))


@asynccontextmanager
async def competing(elector: Elector) -> AsyncIterator[tuple[asyncio.Task[None], list[str]]]:
    """The elector's task, and a log of what its work went through."""
    log: list[str] = []

    async def lead() -> None:
        log.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.5)  # ending takes its time
            log.append("ended")

    task = asyncio.create_task(elector.run(lead))
    try:
        yield task, log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@virtually
async def test_of_two_the_second_waits() -> None:
    server = FakeServer(LEASE)
    one, two = an_elector(server, "one"), an_elector(server, "two")
    async with competing(one) as (_, first):
        await asyncio.sleep(1)
        async with competing(two) as (_, second):
            await asyncio.sleep(300)
            assert (first, second) == (["began"], [])
            assert one.leading and not two.leading


@virtually
async def test_a_leader_that_stops_gives_the_lease_back_after_its_work_has_ended() -> None:
    server = FakeServer(LEASE)
    one, two = an_elector(server, "one"), an_elector(server, "two")
    async with competing(one) as (task, first):
        await asyncio.sleep(20)
        async with competing(two) as (_, second):
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.sleep(0.4)
            assert (first, second, holder(server)) == (["began"], [], "one")
            await asyncio.sleep(3)
            assert first == ["began", "ended"]
            assert second == ["began"]
            assert server.objects[KEY]["spec"]["leaseTransitions"] == 1


@virtually
async def test_a_leader_that_vanishes_is_followed_once_its_lease_has_run_out() -> None:
    server = FakeServer(LEASE)
    two = an_elector(server, "two")
    server.put(
        *KEY,
        spec={
            "holderIdentity": "dead",
            "leaseDurationSeconds": 15,
            "renewTime": "2020-01-01T00:00:00.000000Z",
        },
    )
    async with competing(two) as (_, second):
        await asyncio.sleep(14.9)  # its old time stamp proves nothing: clocks differ
        assert second == []
        await asyncio.sleep(4)
        assert second == ["began"]


@virtually
async def test_a_leader_cut_off_from_the_server_stops_before_a_rival_may_begin() -> None:
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")
    async with competing(elector) as (task, log):
        server.latency = lambda: 1.9
        await asyncio.sleep(30)
        server.down = True
        sent = max(at for at, verb in server.times if verb == "PATCH" and at <= 30)
        await asyncio.sleep(sent + LeaseTimes().deadline - 30 + 0.01)
        assert not elector.leading
        await asyncio.sleep(0.6)
        assert log == ["began", "ended"]
        await asyncio.sleep(5)
        with pytest.raises(LeaseLost):
            task.result()


@virtually
async def test_a_leader_whose_requests_hang_stops_in_time() -> None:
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")
    async with competing(elector) as (_, log):
        await asyncio.sleep(1)
        server.fail("PATCH", "hang")
        await asyncio.sleep(10 + 0.6)
        assert log == ["began", "ended"]


@virtually
async def test_nothing_is_sent_for_longer_than_the_lease_is_ours() -> None:
    """S42: nor does a write that was begun in time go on after it."""
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")
    sent: list[float | None] = []

    class Noting(FakeServer):
        async def request(self, method, path, *, timeout=None, **named) -> bytes:
            sent.append(timeout)
            return b"{}"

    api = FencedApi(Noting(), elector)
    with pytest.raises(Unavailable):
        await api.request("PATCH", "/api/v1/namespaces/ns/pods/a")
    async with competing(elector):
        await asyncio.sleep(4)  # of 10; it renews after 5
        await api.request("PATCH", "/api/v1/namespaces/ns/pods/a")
        assert sent == [pytest.approx(6, abs=0.1)]
        server.down = True
        await asyncio.sleep(6.1)
        with pytest.raises(Unavailable):
            await api.request("PATCH", "/api/v1/namespaces/ns/pods/a")
        await api.request("GET", "/api/v1/namespaces/ns/pods/a")
        assert sent[1:] == [None]


@virtually
async def test_a_leader_stops_at_once_when_another_holds_the_lease() -> None:
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")
    async with competing(elector) as (_, log):
        await asyncio.sleep(1)
        server.put(*KEY, spec={"holderIdentity": "usurper", "leaseDurationSeconds": 15})
        await asyncio.sleep(5.6)
        assert log == ["began", "ended"]
        assert holder(server) == "usurper"


@virtually
async def test_a_short_outage_does_not_cost_the_lease() -> None:
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")
    async with competing(elector) as (_, log):
        await asyncio.sleep(1)
        for _ in range(20):
            server.down = True
            await asyncio.sleep(3)
            server.down = False
            await asyncio.sleep(12)
        assert log == ["began"]
        assert elector.leading


@virtually
async def test_a_lost_answer_to_a_renewal_does_not_cost_the_lease() -> None:
    server = FakeServer(LEASE)

    def renewed_but_not_told() -> None:
        server.put(*KEY, spec={**server.objects[KEY]["spec"], "renewTime": "later"})
        raise Unavailable("connection reset", code=0)

    elector = an_elector(server, "one")
    async with competing(elector) as (_, log):
        await asyncio.sleep(1)
        server.fail("PATCH", renewed_but_not_told)
        await asyncio.sleep(60)
        assert log == ["began"]


@virtually
async def test_a_lease_that_somebody_deletes_is_made_anew() -> None:
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")
    async with competing(elector) as (_, log):
        await asyncio.sleep(1)
        server.drop(*KEY)
        await asyncio.sleep(30)
        assert log == ["began"]
        assert holder(server) == "one"


@virtually
async def test_the_end_of_the_work_gives_the_lease_back() -> None:
    server = FakeServer(LEASE)
    elector = an_elector(server, "one")

    async def lead() -> None:
        assert elector.leading
        await asyncio.sleep(33)

    await elector.run(lead)
    assert holder(server) == ""
    assert not elector.leading


class BadNetwork:
    """Delays requests, loses them or their answers, and lets some arrive long after the client gave up."""

    def __init__(self, server: FakeServer, rng: Random) -> None:
        self._server = server
        self._rng = rng
        self._late: set[asyncio.Task[bytes]] = set()

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: bytes | None = None,
        content_type: str = "", timeout: float | None = None,
    ) -> bytes:  # fmt: skip
        what = self._rng.choices(("fine", "lost", "answer lost", "slow"), (6, 2, 1, 1))[0]
        if what == "lost":
            await asyncio.sleep(self._rng.uniform(0, 3))
            raise Unavailable("lost", code=0)
        way = self._rng.uniform(0, 12 if what == "slow" else 0.5)

        async def arrive() -> bytes:
            await asyncio.sleep(way)
            return await self._server.request(method, path, params=params, body=body)

        arriving = asyncio.create_task(arrive())
        self._late.add(arriving)
        arriving.add_done_callback(self._late.discard)
        answer = await asyncio.shield(arriving)
        await asyncio.sleep(self._rng.uniform(0, 0.5))
        if what == "answer lost":
            raise Unavailable("answer lost", code=0)
        return answer

    def watch(self, path, params, *, idle_seconds):
        raise NotImplementedError


class Replica:
    """A process that competes, and starts anew with another identity whenever it has lost."""

    def __init__(self, name: str, server: FakeServer, rng: Random, acting: set[str]) -> None:
        self.name = name
        self.server = server
        self.rng = rng
        self.acting = acting
        self.terms = 0
        self.elector: Elector | None = None

    async def run(self) -> None:
        life = 0
        while True:
            life += 1
            network = BadNetwork(self.server, self.rng)
            identity = f"{self.name}-{life}"
            self.elector = Elector(
                network, LoopClock(), ns="ns", name="lock", identity=identity, rng=self.rng
            )  # type: ignore[arg-type]
            with suppress(LeaseLost):
                await self.elector.run(self.lead)

    async def lead(self) -> None:
        self.terms += 1
        assert not self.acting, f"{self.name} begins while {self.acting} acts"
        self.acting.add(self.name)
        try:
            await asyncio.sleep(self.rng.uniform(5, 120))
            await asyncio.sleep(0.01)
        finally:
            self.acting.discard(self.name)


async def terms_led_in_bad_network(seed: int, minutes: int) -> int:
    server = FakeServer(LEASE)
    acting: set[str] = set()
    replicas = [Replica(name, server, Random(seed + i), acting) for i, name in enumerate("abc")]
    tasks = [asyncio.create_task(r.run()) for r in replicas]
    for _ in range(minutes * 120):
        await asyncio.sleep(0.5)
        leading = [r.name for r in replicas if r.elector is not None and r.elector.leading]
        assert len(leading) <= 1, leading
        for task in tasks:
            if task.done():
                task.result()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sum(r.terms for r in replicas)


@pytest.mark.parametrize("seed", [1, 2])
def test_never_two_leaders_in_a_bad_network(seed: int) -> None:
    assert run_virtual(terms_led_in_bad_network(seed, minutes=10)) > 3


@pytest.mark.slow
@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_never_two_leaders_in_many_hours_of_bad_network(seed: int) -> None:
    assert run_virtual(terms_led_in_bad_network(seed, minutes=60)) > 20
