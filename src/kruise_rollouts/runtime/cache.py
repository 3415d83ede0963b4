"""What we have seen of one kind: the newest version of each object, with indexes.

Two sources put objects in: the informer, and the answers to our own writes. Whoever is first, the newest
resourceVersion stays; a version that the informer's stream has already passed never comes back. Subscribers hear
of every change, whichever source it came from. Objects are frozen Structs, shared with every reader.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from .controller import Key
from .log import log_of

log = log_of(__name__)


class Identity(Protocol):
    """The metadata a cache needs."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Kept(Protocol):
    """An object a cache can keep."""

    @property
    def metadata(self) -> Identity: ...


T = TypeVar("T", bound=Kept)
Handler: TypeAlias = Callable[[T | None, T | None], None]  # (old, new); None: was not there, is gone
Index: TypeAlias = Callable[[T], Iterable[Hashable]]


def version(resource_version: str) -> int:
    """A resourceVersion as a number, to be compared within one kind; 0 if there is none."""
    return int(resource_version) if resource_version.isdecimal() else 0


class Cache(Generic[T]):
    """Objects of one kind by namespace and name ("" for cluster-scoped), and by the values of its indexes."""

    def __init__(
        self,
        of: type[T],
        indexes: Mapping[str, Index[T]] | None = None,
        *,
        trim: Callable[[T], T] = lambda obj: obj,
    ) -> None:
        """`trim` takes out what nobody reads before an object is kept; metadata's identity must stay."""
        self.of = of
        self.trim = trim
        self._objects: dict[str, dict[str, T]] = {}
        self._index_of = dict(indexes or {})
        self._indexed: dict[str, dict[Hashable, dict[Key, None]]] = {name: {} for name in self._index_of}
        self._handlers: list[Handler[T]] = []
        self._deleted: set[str] = set()  # uids that we deleted and whose end the stream has not told yet
        self._passed = 0  # every change of this kind up to here has been put in by the stream
        self._decode = msgspec.json.Decoder(of).decode

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, ns: str, name: str) -> T | None:
        return self._objects.get(ns, {}).get(name)

    def items(self, ns: str = "") -> list[T]:
        """Objects of `ns`; all objects for ""."""
        if ns:
            return list(self._objects.get(ns, {}).values())
        return [obj for objects in self._objects.values() for obj in objects.values()]

    def by(self, index: str, value: Hashable) -> list[T]:
        """Objects for which `index` gave `value`."""
        keys = self._indexed[index].get(value, ())
        return [self._objects[ns][name] for ns, name in keys]

    def subscribe(self, handler: Handler[T]) -> None:
        """Calls `handler` on every change from now on. It must only note keys: an error in it is logged."""
        self._handlers.append(handler)

    def put(self, obj: T) -> bool:
        """Keeps `obj` if it is news; False if a newer version, or its deletion, is already known."""
        meta = obj.metadata
        key = (meta.namespace, meta.name)
        new = version(meta.resource_version)
        old = self.get(*key)
        if meta.uid in self._deleted:
            return False
        if new and new <= (self._passed if old is None else version(old.metadata.resource_version)):
            return False
        self._keep(key, old, obj)
        return True

    def absorb(self, body: bytes) -> T:
        """Decodes the answer to one of our writes and puts it in. Raises msgspec.MsgspecError."""
        obj = self._decode(body)
        self.put(obj)
        return obj

    def remove(self, ns: str, name: str, *, resource_version: str = "", uid: str = "") -> bool:
        """Drops the object unless it is newer than `resource_version` or another incarnation than `uid`."""
        old = self.get(ns, name)
        if old is None or (uid and old.metadata.uid and old.metadata.uid != uid):
            return False
        if resource_version and version(old.metadata.resource_version) > version(resource_version):
            return False
        self._drop((ns, name), old)
        return True

    def deleted(self, ns: str, name: str, uid: str) -> None:
        """We deleted `uid`: it is gone, and events about it that are still under way do not revive it."""
        if self.remove(ns, name, uid=uid) and uid:  # else the stream has told its end already
            self._deleted.add(uid)

    # --- the informer's side -------------------------------------------------------------------------------

    def pass_by(self, resource_version: str, *, gone: str = "") -> None:
        """The stream has told everything up to `resource_version`; `gone`: the uid whose end it just told."""
        self._passed = max(self._passed, version(resource_version))
        if gone:
            self._deleted.discard(gone)

    def replace(self, objects: Iterable[T], resource_version: str, *, keep: Iterable[Key] = ()) -> bool:
        """Makes the cache what a list at `resource_version` says, apart from what is newer.

        Objects the list does not have are dropped; `keep`: those it has but that could not be read. True if the
        server's storage was restored: then the list is the truth, and what other caches hold may be void.
        """
        objects = tuple(objects)
        listed = set(keep)
        uids = set()
        restored = self._is_restored(objects, version(resource_version))
        for obj in objects:
            meta = obj.metadata
            key = (meta.namespace, meta.name)
            listed.add(key)
            uids.add(meta.uid)
            old = self.get(*key)
            news = old is None or version(meta.resource_version) > version(old.metadata.resource_version)
            if (news or (restored and obj != old)) and meta.uid not in self._deleted:
                self._keep(key, old, obj)
        for obj in self.items():
            ns, name = obj.metadata.namespace, obj.metadata.name
            if (ns, name) not in listed:
                self.remove(ns, name, resource_version="" if restored else resource_version)
        self._deleted &= uids
        self._passed = version(resource_version)
        return restored

    def _is_restored(self, listed: Iterable[T], at: int) -> bool:
        """Whether a list at version `at` is older than what the stream has told, or has an older object than that.

        The latter is so if the restored server counts on from a higher version.
        """
        if 0 < at < self._passed:
            return True
        for obj in listed:
            old = self.get(obj.metadata.namespace, obj.metadata.name)
            if old is not None and old.metadata.uid == obj.metadata.uid:
                known = version(old.metadata.resource_version)
                if 0 < version(obj.metadata.resource_version) < known <= at:
                    return True
        return False

    # --- inside ----------------------------------------------------------------------------------------------

    def _keep(self, key: Key, old: T | None, new: T) -> None:
        if old is not None and old.metadata.uid != new.metadata.uid:
            self._drop(key, old)  # another object under the same name: subscribers must see the first one end
            old = None
        if old is not None:
            self._unindex(key, old)
        new = self.trim(new)
        self._objects.setdefault(key[0], {})[key[1]] = new
        for name, index in self._index_of.items():
            for value in index(new):
                self._indexed[name].setdefault(value, {})[key] = None
        self._tell(old, new)

    def _drop(self, key: Key, old: T) -> None:
        self._unindex(key, old)
        objects = self._objects[key[0]]
        del objects[key[1]]
        if not objects:
            del self._objects[key[0]]
        self._tell(old, None)

    def _unindex(self, key: Key, obj: T) -> None:
        for name, index in self._index_of.items():
            for value in index(obj):
                keys = self._indexed[name].get(value)
                if keys is not None:
                    keys.pop(key, None)
                    if not keys:
                        del self._indexed[name][value]

    def _tell(self, old: T | None, new: T | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception as error:  # noqa: BLE001  one subscriber must not keep the others from hearing
                log.error("a subscriber failed", bug=error, kind=self.of.__name__)
