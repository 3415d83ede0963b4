"""Watches: what they tell, from when on, and how they end."""

from __future__ import annotations

import json

import pytest
from server_stage import MAPS, TABLE, Client, a_map, play

from kruise_rollouts.sandbox.request import SYSTEM, Request


def test_a_watch_tells_what_is_there_and_then_what_happens() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        watch = client.watch(MAPS)
        assert await watch.seen() == [("ADDED", "a")]
        await client.patch(f"{MAPS}/a", {"data": {"x": "1"}})
        await client.made(MAPS, a_map("b"))
        gone = await client.delete(f"{MAPS}/a")
        assert (await watch.seen())[1:] == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]
        versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in watch.events]
        assert versions == sorted(set(versions))
        assert gone.code == 200

    play(story)


def test_a_watch_resumes_after_the_version_it_names() -> None:
    async def story(client: Client) -> None:
        first = await client.made(MAPS, a_map("a"))
        await client.made(MAPS, a_map("b"))
        watch = client.watch(f"{MAPS}?resourceVersion={first['metadata']['resourceVersion']}")
        assert await watch.seen() == [("ADDED", "b")]

    play(story)


def test_a_watch_of_a_forgotten_version_is_told_to_list_again() -> None:
    async def story(client: Client) -> None:
        first = await client.made(MAPS, a_map("a"))
        await client.made(MAPS, a_map("b"))
        client.server.store.table("", "configmaps").forgotten = client.server.store.rv
        watch = client.watch(f"{MAPS}?resourceVersion={first['metadata']['resourceVersion']}")
        await watch.seen()
        assert watch.over
        assert (watch.events[0]["type"], watch.events[0]["object"]["code"]) == ("ERROR", 410)

    play(story)


def test_selectors_make_objects_come_and_go() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, {"metadata": {"name": "a", "labels": {"t": "x"}}})
        watch = client.watch(f"{MAPS}?labelSelector=t=x")
        assert await watch.seen() == [("ADDED", "a")]
        last = (await client.patch(f"{MAPS}/a", {"data": {"k": "1"}})).body
        await client.patch(f"{MAPS}/a", {"metadata": {"labels": {"t": "y"}}, "data": {"k": "2"}})
        await client.patch(f"{MAPS}/a", {"data": {"k": "3"}})
        await client.patch(f"{MAPS}/a", {"metadata": {"labels": {"t": "x"}}})
        assert [t for t, _ in await watch.seen()] == ["ADDED", "MODIFIED", "DELETED", "ADDED"]
        left = watch.events[2]["object"]
        assert left["data"] == last["data"]  # as it was when it last belonged
        assert int(left["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])

    play(story)


def test_a_namespace_is_watched_alone() -> None:
    async def story(client: Client) -> None:
        await client.made("/api/v1/namespaces", {"metadata": {"name": "other"}})
        watch, everywhere = client.watch(MAPS), client.watch("/api/v1/configmaps")
        await client.clock.sleep(1)
        await client.made("/api/v1/namespaces/other/configmaps", a_map("o"))
        await client.made(MAPS, a_map("a"))
        assert await watch.seen() == [("ADDED", "a")]
        assert await everywhere.seen() == [("ADDED", "o"), ("ADDED", "a")]

    play(story)


def test_one_object_is_watched_by_its_name() -> None:
    async def story(client: Client) -> None:
        watch = client.watch(f"{MAPS}?fieldSelector=metadata.name=a")
        await client.clock.sleep(1)
        await client.made(MAPS, a_map("b"))
        await client.made(MAPS, a_map("a"))
        assert await watch.seen() == [("ADDED", "a")]

    play(story)


@pytest.mark.parametrize("where", [MAPS, "/api/v1/configmaps"])
def test_a_watch_of_one_name_tells_of_its_whole_life_and_of_nothing_else(where: str) -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        await client.made(MAPS, a_map("b"))
        watch = client.watch(f"{where}?fieldSelector=metadata.name=a")
        assert await watch.seen() == [("ADDED", "a")]
        for value in "12":
            await client.patch(f"{MAPS}/b", {"data": {"x": value}})
            await client.patch(f"{MAPS}/a", {"data": {"x": value}})
        await client.delete(f"{MAPS}/a")
        await client.delete(f"{MAPS}/b")
        await client.made(MAPS, a_map("a"))
        kinds = [type for type, name in await watch.seen() if name == "a"]
        assert kinds == ["ADDED", "MODIFIED", "MODIFIED", "DELETED", "ADDED"]
        assert len(watch.events) == len(kinds)

    play(story)


def test_one_object_is_listed_by_its_name() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        await client.made(MAPS, a_map("b"))
        for where in (MAPS, "/api/v1/configmaps"):
            for name, found in (("a", ["a"]), ("c", [])):
                listed = (await client.get(f"{where}?fieldSelector=metadata.name={name}")).body
                assert [i["metadata"]["name"] for i in listed["items"]] == found

    play(story)


def test_watches_that_read_at_different_times_see_the_same() -> None:
    async def story(client: Client) -> None:
        first = client.watch(MAPS)
        await client.clock.sleep(1)
        await client.made(MAPS, a_map("a"))
        early = await first.seen()
        late = client.watch(MAPS)
        await client.clock.sleep(1)
        await client.made(MAPS, a_map("b"))
        await client.patch(f"{MAPS}/a", {"data": {"x": "1"}})
        assert early == [("ADDED", "a")]
        assert await first.seen() == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a")]
        assert await late.seen() == await first.seen()

    play(story)


def test_initial_events_end_with_a_bookmark_that_says_so() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        watch = client.watch(f"{MAPS}?{query}")
        assert [t for t, _ in await watch.seen()] == ["ADDED", "BOOKMARK"]
        meta = watch.events[1]["object"]["metadata"]
        assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert meta["resourceVersion"] == str(client.server.store.rv)

    play(story)


def test_bookmarks_move_the_version_of_a_quiet_watch() -> None:
    async def story(client: Client) -> None:
        watch = client.watch(f"{MAPS}?allowWatchBookmarks=true")
        await client.made("/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
        await client.clock.sleep(61)
        assert [t for t, _ in await watch.seen()] == ["BOOKMARK"]
        assert watch.events[0]["object"]["metadata"]["resourceVersion"] == str(client.server.store.rv)

    play(story)


def test_a_watch_ends_when_its_time_is_up() -> None:
    async def story(client: Client) -> None:
        watch = client.watch(f"{MAPS}?timeoutSeconds=10")
        await client.clock.sleep(8)
        assert not watch.over
        await client.clock.sleep(3)
        assert watch.over

    play(story)


def test_what_happens_while_a_watch_ends_is_told_before_its_last_bookmark() -> None:
    async def story(client: Client) -> None:
        query = (("watch", "1"), ("timeoutSeconds", "10"), ("allowWatchBookmarks", "true"))
        answer = await client.server.respond(Request("GET", MAPS, query, {}, b"", SYSTEM))
        assert answer.stream is not None
        await client.made(MAPS, a_map("a"))
        chunks = [await anext(answer.stream)]
        await client.clock.sleep(11)  # its client reads slowly; meanwhile its time is up
        await client.made(MAPS, a_map("b"))
        chunks += [chunk async for chunk in answer.stream]
        events = [json.loads(line) for chunk in chunks for line in chunk.splitlines()]
        assert [e["type"] for e in events] == ["ADDED", "ADDED", "BOOKMARK"]
        assert events[-1]["object"]["metadata"]["resourceVersion"] == str(client.server.store.rv)

    play(story)


def test_a_table_names_its_columns_once() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        watch = client.watch(MAPS, accept=TABLE)
        await client.made(MAPS, a_map("b"))
        await client.clock.sleep(1)
        tables = [e["object"] for e in watch.events]
        assert [t["rows"][0]["cells"][0] for t in tables] == ["a", "b"]
        assert [bool(t["columnDefinitions"]) for t in tables] == [True, False]

    play(story)


def test_a_reader_that_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kruise_rollouts.sandbox.store.HISTORY", 16)

    async def story(client: Client) -> None:
        made = await client.made(MAPS, a_map("a"))
        version = made["metadata"]["resourceVersion"]
        query = (("watch", "1"), ("resourceVersion", version))
        answer = await client.server.respond(Request("GET", MAPS, query, {}, b"", SYSTEM))
        assert answer.stream is not None
        store = client.server.store
        for _ in range(3 * 16):
            entry = store.entry("", "configmaps", "default", "a")
            assert entry is not None
            store.update("", "configmaps", entry.obj, entry)
        lines = [json.loads(line) async for chunk in answer.stream for line in chunk.splitlines()]
        assert lines[-1]["object"]["reason"] == "Expired"

    play(story)


@pytest.mark.parametrize("watchers", [1, 40])
def test_watchers_of_one_thing_see_the_same(watchers: int) -> None:
    async def story(client: Client) -> None:
        watches = [client.watch(MAPS) for _ in range(watchers)]
        await client.clock.sleep(1)
        for name in "abcde":
            await client.made(MAPS, a_map(name))
        seen = [await w.seen() for w in watches]
        assert all(s == [("ADDED", n) for n in "abcde"] for s in seen)
        for w in watches:
            w.stop()
        await client.clock.sleep(1)
        assert client.server.watcher.open == 0

    play(story)


def test_closing_the_server_ends_its_watches() -> None:
    async def story(client: Client) -> None:
        watch = client.watch(MAPS)
        await watch.seen()
        client.server.watcher.close()
        await client.clock.sleep(1)
        assert watch.over

    play(story)


def test_a_quiet_watch_leaves_nothing_behind() -> None:
    async def story(client: Client) -> None:
        watch = client.watch(f"{MAPS}?allowWatchBookmarks=true")
        await client.clock.sleep(600)
        followers = client.server.store.table("", "configmaps").followers
        assert [len(those) for those in followers.values()] == [1]
        watch.stop()
        await client.clock.sleep(1)
        assert followers == {}

    play(story)
