"""Informers against a server that misbehaves: the cache ends where the server is, without hammering it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from fake_server import FakeServer
from msgspec import Struct
from virtual import virtually

from kruise_rollouts.kube.errors import (
    ApiError,
    Cause,
    Details,
    Gone,
    InternalError,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from kruise_rollouts.kube.objects import CONFIG_MAP, Meta
from kruise_rollouts.runtime.clock import LoopClock
from kruise_rollouts.runtime.informer import Informer

PLURAL = "configmaps"


class Box(Struct, frozen=True, gc=False):
    metadata: Meta = Meta()
    data: dict[str, str] = {}


def a_server(*names: str) -> FakeServer:
    server = FakeServer(CONFIG_MAP)
    for name in names:
        server.put(PLURAL, "ns", name)
    return server


@asynccontextmanager
async def watching(server: FakeServer) -> AsyncIterator[Informer[Box]]:
    informer = Informer(server, CONFIG_MAP, Box, clock=LoopClock(), rng=Random(1))
    task = asyncio.ensure_future(informer.run())
    try:
        yield informer
    finally:
        assert not task.done(), "an informer never ends by itself"
        task.cancel()


def names(informer: Informer[Box]) -> set[str]:
    return {box.metadata.name for box in informer.cache.items()}


async def settle(seconds: float = 120) -> None:
    await asyncio.sleep(seconds)


def stories(informer: Informer[Box]) -> list[str]:
    heard: list[str] = []

    def hear(old: Box | None, new: Box | None) -> None:
        known = old or new
        assert known is not None
        heard.append(("+" if old is None else "-" if new is None else "~") + known.metadata.name)

    informer.subscribe(hear)
    return heard


@virtually
async def test_what_is_there_and_what_changes_is_in_the_cache() -> None:
    server = a_server("a", "b")
    async with watching(server) as informer:
        heard = stories(informer)
        await informer.synced.wait()
        server.put(PLURAL, "ns", "c")
        server.put(PLURAL, "ns", "a", data={"k": "v"})
        server.drop(PLURAL, "ns", "b")
        await settle(1)
        assert names(informer) == {"a", "c"}
        assert heard == ["+a", "+b", "+c", "~a", "-b"]


@virtually
async def test_a_long_list_is_fetched_in_pages() -> None:
    server = a_server(*(f"n{i:04}" for i in range(1200)))
    async with watching(server) as informer:
        await informer.synced.wait()
        assert len(informer.cache) == 1200
        assert server.count("LIST") == 3


@virtually
async def test_a_page_that_expired_is_made_up_for_by_one_whole_list() -> None:
    server = a_server(*(f"n{i:04}" for i in range(700)))

    def second_page_expires() -> None:
        server.fail("LIST", Gone("the provided continue parameter is too old"))

    server.fail("LIST", second_page_expires)
    async with watching(server) as informer:
        await informer.synced.wait()
        assert len(informer.cache) == 700
        assert "limit" not in server.calls[2][2]


@pytest.mark.parametrize("by", ["status", "event"])
def test_after_an_expired_version_what_was_missed_is_told_once(by: str) -> None:
    @virtually
    async def story() -> None:
        server = a_server("a", "b")
        async with watching(server) as informer:
            heard = stories(informer)
            await informer.synced.wait()
            await settle(1)
            server.fail("EVENT" if by == "event" else "WATCH", Gone("too old resource version"))
            if by == "status":
                server.fail("EVENT", Unavailable("reset", code=0))
            server.nudge()
            server.objects.pop((PLURAL, "ns", "b"))  # nobody tells: the watch was away
            server.version += 1
            server.history.clear()
            await settle()
            assert names(informer) == {"a"}
            assert heard == ["+a", "+b", "-b"]

    story()


@virtually
async def test_an_object_made_anew_while_the_watch_was_away_is_told_as_end_and_beginning() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        heard = stories(informer)
        await informer.synced.wait()
        await settle(1)
        server.drop(PLURAL, "ns", "a")
        server.put(PLURAL, "ns", "a")
        server.compact()
        server.fail("EVENT", Unavailable("reset", code=0))
        server.nudge()
        await settle()
        assert heard == ["+a", "-a", "+a"]


FAULTS: dict[str, Callable[[], ApiError | str]] = {
    "status 500": lambda: InternalError("etcd is down"),
    "status 410": lambda: Gone("too old"),
    "reset": lambda: Unavailable("connection reset", code=0),
    "end at once": lambda: "eof",
    "error event without code": lambda: '{"type":"ERROR","object":{"message":"?"}}',
    "half a line": lambda: '{"type":"ADDED","obj',
    "not found": lambda: ApiError("no such kind", code=404),
    "a bookmark, then the end": lambda: '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"11"}}}',
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_watch_that_keeps_failing_is_not_hammered_and_heals(fault: str) -> None:
    @virtually
    async def story() -> None:
        server = a_server("a")
        server.fail("WATCH", *(FAULTS[fault]() for _ in range(1000)))
        async with watching(server) as informer:
            await informer.synced.wait()
            await settle(60)
            assert 3 <= server.count("WATCH") <= 10
            server.faults.clear()
            server.put(PLURAL, "ns", "late")
            await settle(61)
            assert names(informer) == {"a", "late"}

    story()


@virtually
async def test_a_kind_that_is_no_longer_served_is_listed_anew_when_it_is_back() -> None:
    server = a_server("old")
    async with watching(server) as informer:
        await informer.synced.wait()
        away = [NotFound("the server could not find the requested resource") for _ in range(8)]
        server.fail("WATCH", "eof", away[0])
        server.fail("LIST", *away)
        del server.objects[(PLURAL, "ns", "old")]  # nobody is told
        await settle(15)
        server.put(PLURAL, "ns", "new")
        server.faults.clear()
        await settle(10)
        assert names(informer) == {"new"}


@virtually
async def test_a_server_that_is_back_after_a_minute_is_noticed_within_ten_seconds() -> None:
    """S44, S46."""
    server = a_server("a")
    async with watching(server) as informer:
        await informer.synced.wait()
        server.fail("WATCH", "eof")
        server.down = True
        await settle(60)
        server.put(PLURAL, "ns", "late")
        server.down = False
        await settle(10)
        assert names(informer) == {"a", "late"}


@virtually
async def test_lists_that_fail_are_tried_again_with_growing_pauses() -> None:
    server = a_server("a")
    server.fail("LIST", *(InternalError("no") for _ in range(5)))
    async with watching(server) as informer:
        await asyncio.wait_for(informer.synced.wait(), 60)
        assert server.count("LIST") == 6


@virtually
async def test_a_server_that_asks_for_patience_gets_it() -> None:
    server = a_server("a")
    server.fail("WATCH", TooManyRequests("busy", retry_after=50))
    async with watching(server) as informer:
        await informer.synced.wait()
        await settle(49)
        assert server.count("WATCH") == 1
        await settle(10)
        assert server.count("WATCH") == 2


@virtually
async def test_a_watch_that_ends_in_time_is_resumed_without_a_list_or_a_lost_event() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        heard = stories(informer)
        await informer.synced.wait()
        for minute in range(60):
            server.put(PLURAL, "ns", f"m{minute}")
            await settle(60)
        assert len(heard) == 61
        assert server.count("LIST") == 1
        assert 6 <= server.count("WATCH") <= 13


@virtually
async def test_a_quiet_hour_costs_few_requests() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        await informer.synced.wait()
        for _ in range(60):
            server.bookmark(PLURAL)
            await settle(60)
        assert server.count("LIST") == 1
        assert len(server.calls) <= 14


@virtually
async def test_a_bookmark_moves_where_the_watch_resumes_and_nothing_else() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        heard = stories(informer)
        await informer.synced.wait()
        await settle(1)
        server.bookmark(PLURAL)
        marked = server.version
        await settle(1)
        server.fail("EVENT", Unavailable("reset", code=0))
        server.nudge()
        await settle(10)
        assert heard == ["+a"]
        asked = [c for c in server.calls if c[0] == "WATCH"][-1][2]
        assert (asked["allowWatchBookmarks"], asked["resourceVersion"]) == ("true", str(marked))


@virtually
async def test_a_connection_that_says_nothing_is_given_up() -> None:
    server = a_server("a")
    server.fail("WATCH", "hang")
    async with watching(server) as informer:
        await informer.synced.wait()
        server.put(PLURAL, "ns", "b")
        await settle(700)
        assert names(informer) == {"a", "b"}


@virtually
async def test_an_object_that_cannot_be_read_stalls_nothing() -> None:
    server = a_server("a")
    server.put(PLURAL, "ns", "odd", data={"k": 5})
    async with watching(server) as informer:
        await informer.synced.wait()
        assert names(informer) == {"a"}
        server.put(PLURAL, "ns", "odd", data=[])
        server.put(PLURAL, "ns", "b")
        await settle(1)
        assert names(informer) == {"a", "b"}
        server.put(PLURAL, "ns", "odd", data={"k": "fine"})
        await settle(1)
        assert names(informer) == {"a", "b", "odd"}
        assert informer.undecodable == 2
        assert server.count("LIST") == 1


@virtually
async def test_an_object_that_becomes_unreadable_stays_as_it_was_and_can_still_be_deleted() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        await informer.synced.wait()
        server.put(PLURAL, "ns", "a", data={"k": 5})
        await settle(1)
        assert names(informer) == {"a"}
        server.drop(PLURAL, "ns", "a")
        await settle(1)
        assert names(informer) == set()


@virtually
async def test_what_cannot_be_read_is_not_taken_for_gone_by_a_new_list() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        await informer.synced.wait()
        await settle(1)
        server.put(PLURAL, "ns", "a", data={"k": 5})
        server.compact()
        server.fail("EVENT", Gone("too old"))
        server.nudge()
        await settle(10)
        assert server.count("LIST") == 2
        assert names(informer) == {"a"}


@virtually
async def test_a_watch_that_is_given_up_gives_its_connection_back() -> None:
    server = a_server("a")
    async with watching(server) as informer:
        await informer.synced.wait()
        await settle(1)
        server.fail("WATCH", "hang")
        server.fail("EVENT", "this is no event")
        server.nudge()
        await settle(0.1)
        assert server.open_watches == 0


@virtually
async def test_a_watch_that_hears_nothing_any_more_is_replaced_when_asked() -> None:
    """S44."""
    server = a_server("a")
    server.fail("WATCH", "hang")
    async with watching(server) as informer:
        await informer.synced.wait()
        await settle(1)
        server.put(PLURAL, "ns", "b")
        await settle(30)
        assert names(informer) == {"a"}
        informer.renew()
        await settle(0.1)
        assert names(informer) == {"a", "b"} and server.count("LIST") == 1
        assert server.open_watches == 1


@virtually
async def test_a_server_that_comes_back_with_an_earlier_state_is_found_out_at_once() -> None:
    """S53. It accepts a watch from a version that it does not have yet, and stays silent."""
    server, restored = a_server("a"), list[set[str]]()
    async with watching(server) as informer:
        server.version = 1000
        server.put(PLURAL, "ns", "lost")
        await informer.synced.wait()
        informer.on_restored = lambda: restored.append(names(informer))
        await settle(1)
        server.objects.pop((PLURAL, "ns", "lost"))
        server.version = 20
        server.history.clear()
        server.fail("EVENT", Unavailable("connection reset", code=0))
        server.nudge()
        await settle(5)
        assert names(informer) == {"a"} and len(restored) == 1


@pytest.mark.parametrize("told", ["by bookmark", "not at all"])
def test_a_restored_server_that_accepts_our_future_version_is_found_out(told: str) -> None:
    @virtually
    async def story() -> None:
        server, restored = a_server("a"), list[set[str]]()
        async with watching(server) as informer:
            server.version = 1000
            server.put(PLURAL, "ns", "lost")
            await informer.synced.wait()
            await settle(1)
            server.objects.pop((PLURAL, "ns", "lost"))
            server.version = 20
            server.history.clear()
            informer.on_restored = lambda: restored.append(names(informer))
            if told == "by bookmark":
                server.fail("EVENT", '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"25"}}}')
                server.nudge()
            await settle(10 if told == "by bookmark" else 700)
            assert names(informer) == {"a"} and len(restored) == 1

    story()


@virtually
async def test_a_server_that_went_back_in_time_is_listed_again() -> None:
    server = a_server("a")
    too_large = Details(
        causes=(Cause(reason="ResourceVersionTooLarge", message="Too large resource version"),)
    )
    async with watching(server) as informer:
        server.version = 1000
        server.put(PLURAL, "ns", "lost")
        await informer.synced.wait()
        await settle(1)
        server.objects.pop((PLURAL, "ns", "lost"))
        server.history.clear()
        server.version = 20
        server.fail("EVENT", Unavailable("restarted", code=0))
        server.fail("WATCH", ApiError("Timeout: Too large resource version", code=504, details=too_large))
        server.nudge()
        await settle()
        assert names(informer) == {"a"}
        server.put(PLURAL, "ns", "after")
        await settle()
        assert names(informer) == {"a", "after"}


@virtually
async def test_a_flood_of_events_lets_others_run() -> None:
    server = a_server()
    async with watching(server) as informer:
        await informer.synced.wait()
        await settle(1)
        for i in range(2000):
            server.put(PLURAL, "ns", f"n{i}")
        turns = 0
        while len(informer.cache) < 2000:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 2000 // 128
