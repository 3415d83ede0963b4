"""Watches: lines of events from the log of a table.

All watches that show the same thing share one `Feed`, which encodes each change once. A watch is a cursor into it:
it takes everything new in one piece, so that a hundred watchers of a busy resource cost a hundred writes per turn,
not a hundred per change. A watch of one object or one namespace costs nothing when others change. A reader too slow
for what is remembered is cut off, as in Kubernetes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import Gone
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.sandbox import store

from .pipeline import Parts
from .reads import Filter, check_list_options, filter_of, version_of
from .refusals import status_body
from .request import Call
from .resources import Resource
from .store import Change, Entry, Table, scope_of

# The encoded object of an event; `first` for the first of a watch (tables name their columns there only).
Encode: TypeAlias = Callable[[Entry, bool], Awaitable[bytes]]

BOOKMARK_SECONDS = 60.0
# Each write to a socket costs the same, small or large: where many watch one thing, each takes what gathers meanwhile.
CALM = 16  # watches of one feed that are served at once
SECONDS_PER_WATCH = 0.0005
LONGEST_PAUSE_SECONDS = 0.25
EVENTS_PER_PIECE = 200  # of those a watch begins with
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


def there(table: Table, wanted: Filter) -> list[tuple[str, Entry]]:
    """Everything there is now, as ADDED."""
    entries = table.candidates(wanted.ns, wanted.only)
    return [("ADDED", e) for e in entries if wanted.whole or wanted.passes(e.obj)]


def since(table: Table, wanted: Filter, rv: int) -> list[tuple[str, Entry]]:
    """What happened after `rv`. Raises Gone."""
    changes = table.log[table.since(rv) - table.start :]
    return [told for change in changes if (told := judge(wanted, change)) is not None]


class Feed:
    """What all watches with one filter are told from now on, encoded once, when one of them first reads it.

    It follows its table until `end()`. Events are numbered from 0; `start` is the first that is still known.
    """

    def __init__(self, table: Table, wanted: Filter, encode: Encode) -> None:
        self._wanted = wanted
        self._encode = encode
        self._lines: list[bytes] = []  # event i is line `i - start`
        self._told: deque[tuple[str, Entry]] = deque()  # events after those, not encoded yet
        self._lock = asyncio.Lock()
        self._last: tuple[int, int, bytes] = (0, 0, b"")  # most watches take the same piece
        self.start = 0
        self.users = 0
        self.headed = False
        self.wakers: list[Callable[[], None]] = []  # of watches that have read all: called at the next event
        self.end = table.follow(scope_of(wanted.ns, wanted.only), self._note)

    @property
    def now(self) -> int:
        """The number of the next event."""
        return self.start + len(self._lines) + len(self._told)

    def _note(self, change: Change) -> None:
        told = judge(self._wanted, change)
        if told is None:
            return
        if len(self.wakers) == self.users:  # all have read what there was
            self._forget(self.now - self.start)
        self._told.append(told)
        if self.now - self.start >= 2 * store.HISTORY:  # somebody reads too slowly
            self._forget(store.HISTORY)
        self.wake()

    def _forget(self, events: int) -> None:
        encoded = min(events, len(self._lines))
        del self._lines[:encoded]
        for _ in range(events - encoded):
            self._told.popleft()
        self.start += events

    def wake(self) -> None:
        """Wakes the watches that wait for this feed."""
        if self.wakers:
            wakers, self.wakers = self.wakers, []
            for wake in wakers:
                wake()

    async def read(self, cursor: int) -> tuple[bytes, int]:
        """The events from `cursor` on, and the next cursor. Raises Gone if they are no longer known."""
        if self._told:
            async with self._lock:
                await self._encode_all()
        if cursor < self.start:
            raise Gone(f"too old resource version: the watch fell behind by {self.start - cursor} changes")
        end = self.start + len(self._lines)
        if self._last[:2] != (cursor, end):
            self._last = (cursor, end, b"".join(self._lines[cursor - self.start :]))
        return self._last[2], end

    async def _encode_all(self) -> None:
        while self._told:
            told = self._told[0]
            text = await self._line(*told)
            if self._told and self._told[0] is told:  # else it was forgotten meanwhile
                self._told.popleft()
                self._lines.append(text)

    async def _line(self, type: str, entry: Entry) -> bytes:
        first, self.headed = not self.headed, True
        return line(type, await self._encode(entry, first))


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
            self._feeds[key if form else feed] = feed
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
            if not feed.users:
                feed.end()
                del self._feeds[key if form else feed]

    async def _chunks(
        self, call: Call, table: Table, wanted: Filter, encode: Encode, feed: Feed, alarm: _Alarm, asked: int
    ) -> AsyncIterator[bytes]:
        options = call.options
        # What is there and where the feed is are read together, before anything is waited for.
        cursor, at = feed.now, self._parts.store.rv
        first = not asked if options.send_initial_events is None else options.send_initial_events
        told = there(table, wanted) if first else since(table, wanted, asked) if asked else []
        for start in range(0, len(told), EVENTS_PER_PIECE):
            piece = told[start : start + EVENTS_PER_PIECE]
            yield b"".join([line(t, await encode(e, not (start or i))) for i, (t, e) in enumerate(piece)])
            feed.headed = True
        if first and options.send_initial_events and options.allow_bookmarks:
            yield self._bookmark(call.resource, at, initial=True)
        while not alarm.over and not self.closing:
            chunk, cursor = await feed.read(cursor)
            if chunk:
                yield chunk
                if feed.users > CALM:
                    await self._parts.clock.sleep(min(feed.users * SECONDS_PER_WATCH, LONGEST_PAUSE_SECONDS))
            elif alarm.take_bookmark():
                yield self._bookmark(call.resource, self._parts.store.rv, initial=False)
            elif cursor == feed.now:
                await alarm.wait(feed)
        chunk, cursor = await feed.read(cursor)
        at = self._parts.store.rv
        # `chunk` has all up to there: who resumes after the last bookmark must not miss a thing.
        if chunk:
            yield chunk
        if options.allow_bookmarks:
            yield self._bookmark(call.resource, at, initial=False)

    def _bookmark(self, resource: Resource, rv: int, *, initial: bool) -> bytes:
        meta: JsonObject = {"resourceVersion": str(rv), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return line("BOOKMARK", msgspec.json.encode(body))

    def close(self) -> None:
        """Ends all watches."""
        self.closing = True
        for feed in self._feeds.values():
            feed.wake()


class _Alarm:
    """Wakes one watch: for a commit, for a bookmark, at the end of its time."""

    def __init__(self, clock: Clock, seconds: float, bookmarks: bool) -> None:
        self._clock = clock
        self._bookmark_due = False
        self._waiting: asyncio.Future[None] | None = None
        self._registered: Feed | None = None  # what will wake us
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

    async def wait(self, feed: Feed) -> None:
        """Returns when something may have happened."""
        if self._bookmark_due or self.over:
            return
        self._waiting = asyncio.get_running_loop().create_future()
        if self._registered is None:
            feed.wakers.append(self._told)
            self._registered = feed
        await self._waiting

    def stop(self) -> None:
        self._task.cancel()
        if self._registered is not None:
            self._registered.wakers.remove(self._told)
            self._registered = None
