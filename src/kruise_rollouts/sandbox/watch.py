"""Watches: lines of events from the log of a table.

All watches that show the same thing share one `Feed`, which encodes each change once. A watch is a cursor into it:
it takes everything new in one piece, so that a hundred watchers of a busy resource cost a hundred writes per turn,
not a hundred per change. A reader too slow for the log is cut off, as in Kubernetes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import Gone
from kruise_rollouts.kube.protocols import Clock

from .pipeline import Parts
from .reads import Filter, check_list_options, filter_of, version_of
from .refusals import status_body
from .request import Call
from .resources import Resource
from .store import Change, Entry, Table

# The encoded object of an event; `first` for the first of a watch (tables name their columns there only).
Encode: TypeAlias = Callable[[Entry, bool], Awaitable[bytes]]

BOOKMARK_SECONDS = 60.0
# Each write to a socket costs the same, small or large: where many watch one thing, each takes what gathers meanwhile.
CALM = 16  # watches of one feed that are served at once
SECONDS_PER_WATCH = 0.0005
LONGEST_PAUSE_SECONDS = 0.25
MIN_TIMEOUT_SECONDS = 1800.0  # of watches that ask for none; Kubernetes adds a random part of as much again
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def line(kind: str, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), body)


def judge(wanted: Filter, change: Change) -> tuple[str, Entry] | None:
    """What a watch with this filter is told of a change; None: nothing."""
    if wanted.ns and not change.new.key.startswith(wanted.ns + "/"):
        return None
    if wanted.whole:
        return change.type, change.new
    old = change.old is not None and wanted.passes(change.old.obj)
    if change.type == "DELETED":
        return ("DELETED", change.new) if old else None
    new = wanted.passes(change.new.obj)
    if new:
        return ("MODIFIED" if old else "ADDED"), change.new
    if not old or change.old is None:
        return None
    # It is gone for this watch: shown as it last was, at the version of the change.
    was = change.old.obj
    last = {**was, "metadata": {**was["metadata"], "resourceVersion": str(change.rv)}}
    return "DELETED", Entry(change.new.key, change.rv, last)


class Feed:
    """Encoded events of a table from one sequence number on; slot i is change `start + i`, b"" if it does not show."""

    def __init__(self, table: Table, wanted: Filter, encode: Encode) -> None:
        self._table = table
        self._wanted = wanted
        self._encode = encode
        self.start = self.end = table.start + len(table.log)
        self._lines: list[bytes] = []
        self._lock = asyncio.Lock()
        self.users = 0
        self.headed = False

    async def lines(self, cursor: int) -> tuple[list[bytes], int]:
        """Lines of the changes from `cursor` on, and the next cursor. Raises Gone if they are no longer known."""
        table = self._table
        if cursor < table.start:
            raise Gone(f"too old resource version: the watch fell behind by {table.start - cursor} changes")
        if self.end < table.start + len(table.log):
            async with self._lock:
                await self._extend()
        before = []
        while cursor < self.start:
            before.append(await self._line(table.log[cursor - table.start]))
            cursor += 1
        return before + self._lines[cursor - self.start :], self.end

    async def _extend(self) -> None:
        table = self._table
        if self.start < table.start:
            del self._lines[: table.start - self.start]
            self.start = table.start
            self.end = max(self.end, table.start)
        while self.end < table.start + len(table.log):
            self._lines.append(await self._line(table.log[self.end - table.start]))
            self.end += 1

    async def _line(self, change: Change) -> bytes:
        told = judge(self._wanted, change)
        if told is None:
            return b""
        return line(told[0], await self._encode(told[1], self._headless()))

    def _headless(self) -> bool:
        """Whether this is the first event of a watch that has not shown its columns yet."""
        first, self.headed = not self.headed, True
        return first


class Watcher:
    """Opens watches and keeps the feeds they share."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._feeds: dict[object, Feed] = {}
        self.open = 0
        self.closing = False

    def open_watch(self, call: Call, encode: Encode, form: str) -> AsyncGenerator[bytes, None]:
        """Chunks of whole lines until time is up. Raises at once what a bad request raises.

        `form` names what `encode` makes: watches with the same form and filter share their lines; "" shares none.
        """
        options = call.options
        check_list_options(options, watching=True)
        wanted = filter_of(call)
        asked = version_of(options.resource_version, listing=False)
        table = self._parts.store.table(*call.resource.storage)
        return self._stream(call, table, wanted, encode, form, asked)

    async def _stream(
        self, call: Call, table: Table, wanted: Filter, encode: Encode, form: str, asked: int
    ) -> AsyncGenerator[bytes, None]:
        options, resource = call.options, call.resource
        key = (resource.storage, resource.api_version, wanted, form)
        feed = self._feeds.get(key) if form else None
        if feed is None:
            feed = Feed(table, wanted, encode)
            if form:
                self._feeds[key] = feed
        feed.users += 1
        self.open += 1
        seconds = float(options.timeout_seconds) or MIN_TIMEOUT_SECONDS * (1 + self._parts.random.random())
        alarm = _Alarm(self._parts.clock, seconds, options.allow_bookmarks)
        try:
            async for chunk in self._chunks(call, table, wanted, encode, feed, alarm, asked):
                yield chunk
        except Gone as gone:
            yield line("ERROR", msgspec.json.encode(status_body(gone)))
        finally:
            alarm.stop()
            self.open -= 1
            feed.users -= 1
            if not feed.users and self._feeds.get(key) is feed:
                del self._feeds[key]

    async def _chunks(
        self, call: Call, table: Table, wanted: Filter, encode: Encode, feed: Feed, alarm: _Alarm, asked: int
    ) -> AsyncIterator[bytes]:
        options = call.options
        first = not asked if options.send_initial_events is None else options.send_initial_events
        if first:
            cursor = table.start + len(table.log)
            at = self._parts.store.rv
            async for chunk in self._initial(table, wanted, encode):
                feed.headed = True
                yield chunk
            if options.send_initial_events and options.allow_bookmarks:
                yield self._bookmark(call.resource, at, initial=True)
        else:
            cursor = table.since(asked) if asked else table.start + len(table.log)
        while not alarm.over and not self.closing:
            lines, cursor = await feed.lines(cursor)
            chunk = b"".join(lines)
            if chunk:
                yield chunk
                if feed.users > CALM:
                    await self._parts.clock.sleep(min(feed.users * SECONDS_PER_WATCH, LONGEST_PAUSE_SECONDS))
                continue
            if alarm.take_bookmark():
                yield self._bookmark(call.resource, self._parts.store.rv, initial=False)
                continue
            if cursor == table.start + len(table.log):
                await alarm.wait(table)
        if options.allow_bookmarks:
            yield self._bookmark(call.resource, self._parts.store.rv, initial=False)

    async def _initial(self, table: Table, wanted: Filter, encode: Encode) -> AsyncIterator[bytes]:
        """Everything there is now, as ADDED."""
        lines: list[bytes] = []
        headed = False
        for entry in tuple(table.range(wanted.ns)):
            if not wanted.whole and not wanted.passes(entry.obj):
                continue
            lines.append(line("ADDED", await encode(entry, not headed)))
            headed = True
            if len(lines) >= 200:
                yield b"".join(lines)
                lines = []
        if lines:
            yield b"".join(lines)

    def _bookmark(self, resource: Resource, rv: int, *, initial: bool) -> bytes:
        meta: JsonObject = {"resourceVersion": str(rv), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return line("BOOKMARK", msgspec.json.encode(body))

    def close(self) -> None:
        """Ends all watches."""
        self.closing = True
        for table in self._parts.store.tables.values():
            table.wake()


class _Alarm:
    """Wakes one watch: for a commit, for a bookmark, at the end of its time."""

    def __init__(self, clock: Clock, seconds: float, bookmarks: bool) -> None:
        self._clock = clock
        self._bookmark_due = False
        self._waiting: asyncio.Future[None] | None = None
        self._registered: Table | None = None  # the table that will wake us
        self.over = False
        self._task = asyncio.ensure_future(self._run(seconds, bookmarks))

    async def _run(self, seconds: float, bookmarks: bool) -> None:
        left = seconds
        while bookmarks and left > BOOKMARK_SECONDS:
            await self._clock.sleep(BOOKMARK_SECONDS)
            left -= BOOKMARK_SECONDS
            self._bookmark_due = True
            self._wake()
        await self._clock.sleep(left)
        self.over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _told(self) -> None:
        self._registered = None
        self._wake()

    def take_bookmark(self) -> bool:
        due, self._bookmark_due = self._bookmark_due, False
        return due

    async def wait(self, table: Table) -> None:
        """Returns when something may have happened."""
        if self._bookmark_due or self.over:
            return
        self._waiting = asyncio.get_running_loop().create_future()
        if self._registered is None:
            table.wakers.append(self._told)
            self._registered = table
        await self._waiting

    def stop(self) -> None:
        self._task.cancel()
        if self._registered is not None:
            self._registered.wakers.remove(self._told)
            self._registered = None
