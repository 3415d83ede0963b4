"""Keeps a Cache equal to what the API server has of one kind: list in pages, then watch, for ever.

Whatever goes wrong (an expired version, a refused or broken watch, a stream that says nothing) ends in a resumed
watch or a new list after a back-off; the cache's subscribers see one coherent story. What the changes mean is
theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from random import Random
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from kruise_rollouts.kube.errors import ApiError, Gone, NotFound, Status, Unavailable, error_of
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.kube.protocols import Api, Clock

from .cache import Cache, Handler, Index, Kept, version
from .clock import cancelled, first_of
from .log import log_of
from .paging import PAGE, ListMeta, page_decoder, raw_page

log = log_of(__name__)
T = TypeVar("T", bound=Kept)

LIST_SECONDS = 60.0  # for one page
WATCH_SECONDS = (300, 600)  # the server ends a watch after a random time between
IDLE_SLACK_SECONDS = 30.0  # beyond that without a byte the connection is dead
YIELD_EVERY = 128  # events; a flood must not starve leases and webhooks
BACKOFF_FIRST_SECONDS = 0.8
BACKOFF_CAP_SECONDS = 5.0  # doubled at most by chance: a release waits no longer for a server that is back
BACKOFF_RESET_SECONDS = 120.0  # without a failure
SILENT_WATCH_SECONDS = (
    180.0  # bookmarks come every minute: silence means our version is not the server's (restored?)
)
SHORT_WATCH_SECONDS = 1.0  # a watch that ended sooner and told nothing counts as a failure


class _Event(Struct, frozen=True, gc=False):
    type: str
    object: Raw


class _Meta(Struct, frozen=True, rename="camel", gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Bare(Struct, frozen=True, gc=False):
    """Any object, as far as nobody can spoil it. Bookmarks decode as nothing more than this."""

    metadata: _Meta = _Meta()


_event = msgspec.json.Decoder(_Event).decode
_bare = msgspec.json.Decoder(_Bare).decode
_status = msgspec.json.Decoder(Status, strict=False).decode


class Backoff:
    """Doubling, jittered pauses; back to the first after a while without failure."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._failures = 0
        self._last = 0.0

    def next(self) -> float:
        """Seconds to pause after one more failure."""
        now = self._clock.mono()
        if now - self._last > BACKOFF_RESET_SECONDS:
            self._failures = 0
        pause: float = min(BACKOFF_CAP_SECONDS, BACKOFF_FIRST_SECONDS * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        pause *= self._rng.uniform(1.0, 2.0)
        self._last = now + pause
        return pause


class Informer(Generic[T]):
    """`run()` it as a task; `synced` is set once the first list is in the cache."""

    def __init__(
        self,
        api: Api,
        kind: Kind,
        of: type[T],
        *,
        clock: Clock,
        ns: str = "",
        selector: Mapping[str, str] | None = None,
        indexes: Mapping[str, Index[T]] | None = None,
        trim: Callable[[T], T] = lambda obj: obj,
        rng: Random | None = None,
    ) -> None:
        """`selector`: labelSelector and fieldSelector parameters. `ns` "": all namespaces. `trim`: see Cache."""
        self.kind = kind
        self.cache: Cache[T] = Cache(of, indexes, trim=trim)
        self.synced = asyncio.Event()
        self.on_restored: Callable[[], None] = lambda: (
            None
        )  # told when the server's storage went back in time
        self.undecodable = 0  # objects that could not be read, since the start
        self._api = api
        self._clock = clock
        self._path = kind.path(ns)
        self._params = dict(selector or {})
        self._rng = rng or Random()
        self._backoff = Backoff(clock, self._rng)
        self._object = msgspec.json.Decoder(of).decode
        self._page = page_decoder(of)
        self._version = ""  # where to resume the watch; "": list first
        self._told = 0  # events of the present watch
        self._renewal = asyncio.Event()
        self._broke_off = False  # the server may not be the one it was
        self._changes = 0  # those of them that are no bookmarks
        self._log = log.bind(kind=kind.kind, path=self._path)

    def subscribe(self, handler: Handler[T]) -> None:
        """Calls `handler(old, new)` on every change of the cache; until `synced` that is the first list."""
        self.cache.subscribe(handler)

    def renew(self) -> None:
        """Watches over a fresh connection from now on: one that is dead, or behind, tells nothing in time."""
        self._renewal.set()

    async def run(self) -> None:
        """Lists and watches until cancelled."""
        while True:
            self._renewal.clear()
            turn = asyncio.ensure_future(self._turn())
            asked = asyncio.ensure_future(self._renewal.wait())
            try:
                await first_of(turn, asked)
                if turn.done():
                    turn.result()
            finally:
                await cancelled(turn, asked)

    async def _turn(self) -> None:
        pause = await self._round()
        if pause > 0:
            await self._clock.sleep(pause)

    async def _round(self) -> float:
        """One list if needed, one watch; the seconds to pause before the next round."""
        started = self._clock.mono()
        self._told = self._changes = 0
        try:
            if self._version and self._broke_off:
                await self._compare_versions()
            if not self._version:
                await self._list()
            self._broke_off = False
            await self._watch()
        except ApiError as error:
            if isinstance(error, Gone | NotFound) or _is_too_new(error):
                self._version = ""  # NotFound: when the kind is served again, its objects may be others
                self._log.info("the watch cannot be resumed, listing again", error=error.message)
            else:
                self._log.warning("list or watch failed", error=error.message, code=error.code)
                self._broke_off = True
            return max(error.retry_after or 0.0, self._backoff.next())
        except msgspec.MsgspecError as error:  # not even the frame of an event or page could be read
            self._log.warning("unreadable answer", error=str(error))
            return self._backoff.next()
        lasted = self._clock.mono() - started
        if self._changes == 0 and lasted < SHORT_WATCH_SECONDS:  # a last bookmark is no sign of health
            return self._backoff.next()
        if self._told == 0 and lasted > SILENT_WATCH_SECONDS:
            self._version = ""
        return 0.0

    # --- list ----------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        try:
            await self._list_pages(PAGE)
        except Gone:  # the list changed too much while we paged: take it in one piece
            await self._list_pages(0)
        self.synced.set()

    async def _list_pages(self, limit: int) -> None:
        objects: list[T] = []
        unread: list[tuple[str, str]] = []
        params = dict(self._params)
        if limit:
            params["limit"] = str(limit)
        while True:
            body = await self._api.request("GET", self._path, params=params, timeout=LIST_SECONDS)
            meta = self._read_page(body, objects, unread)
            if not meta.next_page:
                break
            params["continue"] = meta.next_page
            await self._clock.sleep(0)
        if self.cache.replace(objects, meta.resource_version, keep=unread):
            self._log.error("the storage of the API server was restored from an earlier state")
            self.on_restored()
        self._version = meta.resource_version

    def _read_page(self, body: bytes, objects: list[T], unread: list[tuple[str, str]]) -> ListMeta:
        """Adds the page's objects, and the keys of those that cannot be read."""
        try:
            typed = self._page(body)
            objects += map(self.cache.trim, typed.items)  # now: with a page gone its memory can be used again
            return typed.metadata
        except msgspec.ValidationError:
            page = raw_page(body)
        for raw in page.items:
            try:
                objects.append(self.cache.trim(self._object(raw)))
            except msgspec.MsgspecError as error:
                meta = self._unreadable(raw, error)
                if meta is not None:
                    unread.append((meta.namespace, meta.name))
        return page.metadata

    async def _compare_versions(self) -> None:
        """Lists anew if the server's version is lower than ours: it would accept our watch, and say nothing in it."""
        body = await self._api.request("GET", self._path, params={**self._params, "limit": "1"})
        at = raw_page(body).metadata.resource_version
        if 0 < version(at) < version(self._version):
            self._version = ""

    # --- watch ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        seconds = self._rng.randint(*WATCH_SECONDS)
        params = {
            **self._params,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        lines = self._api.watch(self._path, params, idle_seconds=seconds + IDLE_SLACK_SECONDS)
        try:
            async for line in lines:
                self._take(_event(line))
                self._told += 1
                if self._told % YIELD_EVERY == 0:
                    await self._clock.sleep(0)
        finally:
            if isinstance(lines, AsyncGenerator):
                await lines.aclose()  # gives the connection back now, not when the collector finds it

    def _take(self, event: _Event) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                self._changes += 1
                self._changed(event.object)
            case "DELETED":
                self._changes += 1
                meta = _bare(event.object).metadata
                self.cache.remove(meta.namespace, meta.name, resource_version=meta.resource_version)
                self._pass(meta.resource_version, gone=meta.uid)
            case "BOOKMARK":
                self._bookmark(_bare(event.object).metadata.resource_version)
            case "ERROR":
                status = _status(event.object)
                raise (
                    error_of(status.code, bytes(event.object)) if status.code else Unavailable(status.message)
                )
            case other:
                self._log.warning("unknown watch event", type=other)

    def _changed(self, raw: Raw) -> None:
        try:
            obj = self._object(raw)
        except msgspec.MsgspecError as error:
            meta = self._unreadable(raw, error)
            if meta is not None:
                self._pass(meta.resource_version)
            return
        self.cache.put(obj)
        self._pass(obj.metadata.resource_version)

    def _bookmark(self, resource_version: str) -> None:
        if version(resource_version) < version(self._version):
            raise Gone("the server's versions went back: its storage was restored")
        self._pass(resource_version)

    def _pass(self, resource_version: str, gone: str = "") -> None:
        if resource_version:
            self._version = resource_version
            self.cache.pass_by(resource_version, gone=gone)

    def _unreadable(self, raw: Raw, error: msgspec.MsgspecError) -> _Meta | None:
        """Counts an object that does not decode; what was cached of it stays. Its metadata, if that decodes."""
        self.undecodable += 1
        try:
            meta = _bare(raw).metadata
        except msgspec.MsgspecError:
            meta = None
        at = f"{meta.namespace}/{meta.name}" if meta else "unknown"
        self._log.error("an object cannot be read and is passed over", object=at, error=str(error))
        return meta


def _is_too_new(error: ApiError) -> bool:
    """The server has not reached our version (its storage was restored): only a list helps."""
    causes = error.details.causes if error.details else ()
    return (
        any(c.reason == "ResourceVersionTooLarge" for c in causes)
        or "Too large resource version" in error.message
    )
