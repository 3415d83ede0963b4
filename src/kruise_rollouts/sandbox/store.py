"""The objects, one resourceVersion counter, and what happened lately.

A stored object is a plain dict that is never changed again: whoever wants to change one copies what it changes (the
rest is shared). `subscribe` is for this process: the callback runs synchronously after each commit; so does that of
`Table.follow`, which is for watches and told only of changes in its scope. `Table.since`: the changes after a
resourceVersion, or Gone if they have been forgotten. Rules of the API (validation, deletion, versions) do not belong
here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import AlreadyExists, Conflict, Gone, NotFound

from .resources import StorageKey

ChangeType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]
Subscriber: TypeAlias = Callable[[ChangeType, JsonObject | None, JsonObject | None], None]

HISTORY = 4_096  # changes remembered per resource; an older resume is refused with 410


class Owed:
    """managedFields that have not been worked out yet: those of `prev`, then what `by` did (None: nothing).

    Writes from this process leave them until somebody outside reads the object; see Parts.settled.
    """

    __slots__ = ("by", "depth", "prev")

    def __init__(self, prev: Entry | None, by: Json = None) -> None:
        self.prev = prev
        self.by = by
        self.depth: int = 1 if prev is None or prev.owed is None else prev.owed.depth + 1


class Entry:
    """One stored version of one object; `bytes` caches its encodings, shared by every reader and watcher."""

    __slots__ = ("bytes", "key", "obj", "owed", "rv")

    def __init__(self, key: str, rv: int, obj: JsonObject, owed: Owed | None = None) -> None:
        self.key = key  # "ns/name", or "name" for cluster-scoped objects
        self.rv = rv
        self.obj = obj
        self.owed = owed
        self.bytes: dict[str, bytes] = {}  # by apiVersion


class Change:
    """One commit. `old` is None for ADDED; `new` of DELETED is the last state, with the resourceVersion of its end."""

    __slots__ = ("new", "old", "rv", "type")

    def __init__(self, type: ChangeType, rv: int, old: Entry | None, new: Entry) -> None:
        self.type = type
        self.rv = rv
        self.old = old
        self.new = new


def key_of(ns: str, name: str) -> str:
    return f"{ns}/{name}" if ns else name


Follower: TypeAlias = Callable[[Change], None]


def scope_of(ns: str, name: str) -> str:
    """What a follower hears of: one name (in every namespace), one namespace, or ("") everything."""
    return f"/{name}" if name else f"{ns}/" if ns else ""


class Table:
    """The objects of one resource, in key order, with the changes of late."""

    __slots__ = ("entries", "followers", "forgotten", "keys", "log", "rvs", "start", "subscribers")

    def __init__(self, forgotten: int) -> None:
        self.entries: dict[str, Entry] = {}
        self.keys: list[str] = []  # sorted
        self.log: list[Change] = []
        self.rvs: list[int] = []  # of `log`, for bisection
        self.start = 0  # sequence number of log[0]; grows as old changes are dropped
        self.forgotten = forgotten  # changes up to this resourceVersion are not in the log
        self.subscribers: list[Subscriber] = []
        self.followers: dict[str, list[Follower]] = {}  # by scope

    def range(self, ns: str) -> Iterator[Entry]:
        """Entries of one namespace, or all ("" means all), in key order."""
        entries = self.entries
        if not ns:
            return (entries[k] for k in self.keys)
        low, high = bisect_left(self.keys, ns + "/"), bisect_left(self.keys, ns + "0")
        return (entries[k] for k in self.keys[low:high])

    def candidates(self, ns: str, name: str) -> Iterator[Entry]:
        """Entries of a namespace, or all, among which are those called `name` ("": any name), in key order."""
        if name:
            found = self.entries.get(key_of(ns, name))
            if found is not None or ns:
                return iter((found,) if found is not None else ())
        return self.range(ns)

    def since(self, rv: int) -> int:
        """Sequence number of the first change after `rv`. Raises Gone if older changes have been dropped."""
        if rv < self.forgotten:
            raise Gone(f"too old resource version: {rv} ({self.forgotten})")
        return self.start + bisect_right(self.rvs, rv)

    def at(self, rv: int, ns: str) -> list[Entry]:
        """Entries as they were at `rv`, in key order. Raises Gone."""
        first = self.since(rv) - self.start
        was: dict[str, Entry | None] = {}
        for change in self.log[first:]:
            was.setdefault(change.new.key, change.old)
        if not was:
            return list(self.range(ns))
        entries = [e for e in self.range(ns) if e.key not in was]
        inside = ns + "/" if ns else ""
        entries += [e for k, e in was.items() if e is not None and k.startswith(inside)]
        entries.sort(key=lambda e: e.key)
        return entries

    def commit(self, change: Change) -> None:
        key = change.new.key
        if change.type == "DELETED":
            del self.entries[key]
            del self.keys[bisect_left(self.keys, key)]
        else:
            if change.old is None:
                insort(self.keys, key)
            self.entries[key] = change.new
        self.log.append(change)
        self.rvs.append(change.rv)
        if len(self.log) >= 2 * HISTORY:  # in large bites, so that a commit stays cheap
            self.forgotten = self.rvs[HISTORY - 1]
            self.start += HISTORY
            del self.log[:HISTORY]
            del self.rvs[:HISTORY]
        old = change.old.obj if change.old is not None else None
        for subscriber in tuple(self.subscribers):
            subscriber(change.type, old, change.new.obj)
        if self.followers:
            self._tell(change)

    def follow(self, scope: str, follower: Follower) -> Callable[[], None]:
        """Calls `follower` with each change in `scope` from now on, until what is returned is called."""
        self.followers.setdefault(scope, []).append(follower)

        def end() -> None:
            left = self.followers[scope]
            left.remove(follower)
            if not left:
                del self.followers[scope]

        return end

    def _tell(self, change: Change) -> None:
        """A change costs what those cost whom it concerns, however many others follow."""
        ns, slash, name = change.new.key.rpartition("/")
        for scope in ("", f"{ns}/", f"/{name}") if slash else ("", f"/{name}"):
            for follower in self.followers.get(scope, ()):
                follower(change)


Journal: TypeAlias = Callable[[StorageKey, Change], None]


class Store:
    """All tables. Objects passed in belong to the store afterwards and must not be changed."""

    def __init__(self) -> None:
        self.rv = 1
        self._tables: dict[StorageKey, Table] = {}
        self._began = 1  # the resourceVersion this process started with: nothing before it can be resumed
        self.journal: Journal | None = None  # called before a commit becomes visible (durable.py)

    def restore(self, rv: int, objects: Iterable[tuple[tuple[str, str, str], JsonObject]]) -> None:
        """Starts at `rv` with `objects`, by group, plural and key. What came before cannot be watched."""
        self.rv = self._began = rv
        for (group, plural, key), obj in objects:
            table = self.table(group, plural)
            table.entries[key] = Entry(key, int(obj["metadata"]["resourceVersion"]), obj)
        for table in self._tables.values():
            table.keys = sorted(table.entries)

    def table(self, group: str, plural: str) -> Table:
        found = self._tables.get((group, plural))
        if found is None:
            found = self._tables[(group, plural)] = Table(0 if self._began == 1 else self._began)
        return found

    @property
    def tables(self) -> dict[StorageKey, Table]:
        return self._tables

    def entry(self, group: str, plural: str, ns: str, name: str) -> Entry | None:
        return self.table(group, plural).entries.get(f"{ns}/{name}" if ns else name)

    def get(self, group: str, plural: str, ns: str, name: str) -> JsonObject | None:
        """The object; None if there is none."""
        found = self.entry(group, plural, ns, name)
        return found.obj if found is not None else None

    def list(self, group: str, plural: str, ns: str = "") -> list[JsonObject]:
        """Objects of a namespace, or all, in key order."""
        return [e.obj for e in self.table(group, plural).range(ns)]

    def subscribe(self, group: str, plural: str, callback: Subscriber) -> Callable[[], None]:
        """`callback(type, old, new)` after each commit, synchronously. Returns what ends the subscription."""
        subscribers = self.table(group, plural).subscribers
        subscribers.append(callback)

        def end() -> None:
            if callback in subscribers:
                subscribers.remove(callback)

        return end

    def create(self, group: str, plural: str, obj: JsonObject, owed: Owed | None = None) -> Entry:
        """Stores a new object. Raises AlreadyExists."""
        meta = obj["metadata"]
        key = key_of(meta.get("namespace", ""), meta["name"])
        table = self.table(group, plural)
        if key in table.entries:
            raise AlreadyExists(f'{plural} "{meta["name"]}" already exists')
        return self._commit(table, (group, plural), "ADDED", None, obj, owed)

    def update(self, group: str, plural: str, obj: JsonObject, was: Entry, owed: Owed | None = None) -> Entry:
        """Replaces `was`. Raises Conflict if another version has been stored meanwhile, NotFound if none is left."""
        table = self.table(group, plural)
        self._still(table, was)
        return self._commit(table, (group, plural), "MODIFIED", was, obj, owed)

    def delete(self, group: str, plural: str, was: Entry, last: JsonObject | None = None) -> Entry:
        """Removes `was`; `last` is the state the DELETED event shows (default: as stored)."""
        table = self.table(group, plural)
        self._still(table, was)
        return self._commit(table, (group, plural), "DELETED", was, was.obj if last is None else last)

    def _still(self, table: Table, was: Entry) -> None:
        now = table.entries.get(was.key)
        if now is None:
            raise NotFound(f"{was.key} not found")
        if now is not was:
            raise Conflict(f"{was.key} has been modified")

    def _commit(
        self,
        table: Table,
        storage: StorageKey,
        type: ChangeType,
        old: Entry | None,
        obj: JsonObject,
        owed: Owed | None = None,
    ) -> Entry:
        rv = self.rv + 1
        meta = {**obj["metadata"], "resourceVersion": str(rv)}
        stored = {**obj, "metadata": meta}
        if owed is None and old is not None and old.owed is not None:
            owed = Owed(old)
        key = old.key if old is not None else key_of(meta.get("namespace", ""), meta["name"])
        change = Change(type, rv, old, Entry(key, rv, stored, owed))
        if self.journal is not None:
            self.journal(storage, change)
        self.rv = rv
        table.commit(change)
        return change.new
