"""The places where other parts take part in a request. Each has a default that does nothing.

`Hooks` is a plain bag of functions which sandbox.py fills:

- access/access.py: `authenticate(headers) -> User` and `authorize(user, target)`, which raise Unauthorized, Forbidden.
- admission/admission.py: `mutate(attempt) -> (obj, warnings)` before defaults and validation are final, `check(attempt) ->
  warnings` after them. Both raise ApiError to refuse. `attempt.obj` is in the version of `attempt.resource`.
- custom/crd.py: `schema_of(resource)`, `prepare(resource, obj)` (prune, default), `validate(...)`, `convert(...)`.
- `subresources[(plural.group, name)]`: async functions that answer a subresource in full (serviceaccounts/token);
  `virtual[(group, plural)]`: the same for kinds that are answered but never stored (reviews).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from random import Random
from typing import Protocol, TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.kube.patch import merge_patch
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.sandbox.builtin.convert import convert
from kruise_rollouts.sandbox.builtin.defaults import apply_defaults
from kruise_rollouts.sandbox.builtin.validation import validate

from .request import ANONYMOUS, SYSTEM, Call, Query, Request, Response, Target, User
from .resources import Registry, Resource
from .store import Entry, Owed, Store

SERVER = "kube-apiserver"  # the manager of what the server itself writes


class Attempt(Struct, frozen=True):
    """A write as admission sees it. Objects must not be changed in place."""

    operation: str  # CREATE UPDATE DELETE CONNECT
    resource: Resource
    ns: str
    name: str  # "" while generateName has not been resolved
    subresource: str
    obj: JsonObject | None  # None for DELETE
    old: JsonObject | None  # None for CREATE
    user: User
    dry_run: bool
    options: JsonObject  # CreateOptions, UpdateOptions, ... as webhooks see them


Mutate: TypeAlias = Callable[[Attempt], Awaitable[tuple[JsonObject | None, tuple[str, ...]]]]
Check: TypeAlias = Callable[[Attempt], Awaitable[tuple[str, ...]]]
Convert: TypeAlias = Callable[[list[JsonObject], Resource, str], Awaitable[list[JsonObject]]]
Answer: TypeAlias = Callable[[Call], Awaitable[JsonObject]]
Validate: TypeAlias = Callable[[Resource, JsonObject, JsonObject | None, str], tuple[Cause, ...]]


class Track(Protocol):
    """Maintains metadata.managedFields for a write that is no apply."""

    def __call__(
        self, resource: Resource, new: JsonObject, live: JsonObject | None, by: Manager
    ) -> JsonObject: ...


class Apply(Protocol):
    """Server-side apply: the object that `applied` makes of `live`. Raises Conflict with causes."""

    def __call__(
        self, resource: Resource, applied: JsonObject, live: JsonObject | None, by: Manager, *, force: bool
    ) -> JsonObject: ...


class CheckPatched(Protocol):
    """What the patch of `call` has made, as the server understands it, and warnings. Raises Invalid."""

    def __call__(self, call: Call, obj: JsonObject) -> tuple[JsonObject, tuple[str, ...]]: ...


class Strategic(Protocol):
    """Strategic merge patch."""

    def __call__(self, resource: Resource, live: JsonObject, patch: JsonObject) -> JsonObject: ...


class Manager(Struct, frozen=True):
    """Who owns the fields a request writes, and when it wrote them."""

    name: str
    subresource: str
    now: datetime


async def _admit_all(attempt: Attempt) -> tuple[JsonObject | None, tuple[str, ...]]:
    return attempt.obj, ()


async def _no_objection(attempt: Attempt) -> tuple[str, ...]:
    return ()


async def _as_is(objects: list[JsonObject], resource: Resource, api_version: str) -> list[JsonObject]:
    return [{**o, "apiVersion": api_version} for o in objects]


def _untracked(resource: Resource, new: JsonObject, live: JsonObject | None, by: Manager) -> JsonObject:
    return new


def _merged(resource: Resource, live: JsonObject, patch: JsonObject) -> JsonObject:
    merged: JsonObject = merge_patch(live, patch)
    return merged


def _unchecked(call: Call, obj: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
    return obj, ()


def _applied(
    resource: Resource, applied: JsonObject, live: JsonObject | None, by: Manager, *, force: bool
) -> JsonObject:
    return applied if live is None else _merged(resource, live, applied)


def _no_log(pod: JsonObject, container: str, query: Query) -> bytes:
    return b""


def _anybody(headers: Mapping[str, str]) -> User:
    return SYSTEM if "authorization" in headers else ANONYMOUS


def _anything(user: User, target: Target) -> None:
    return None


def _as_stored(resource: Resource, rv: int, obj: JsonObject) -> JsonObject:
    return obj


class Hooks:
    """What each stage calls. Replace attributes; all may be replaced while the server runs."""

    def __init__(self) -> None:
        self.authenticate: Callable[[Mapping[str, str]], User] = _anybody
        self.authorize: Callable[[User, Target], None] = _anything
        self.mutate: Mutate = _admit_all
        self.check: Check = _no_objection
        self.convert: Convert = _as_is  # of custom resources, to the given apiVersion
        self.prepare: Callable[[Resource, JsonObject], JsonObject] = apply_defaults
        self.validate: Validate = validate
        # Of custom resources: the object that was stored at `rv` as today's schema reads it.
        self.read: Callable[[Resource, int, JsonObject], JsonObject] = _as_stored
        self.log: Callable[[JsonObject, str, Query], bytes] = _no_log  # what a pod's container has written
        self.track: Track = _untracked
        self.apply: Apply = _applied
        self.strategic: Strategic = _merged
        self.check_patched: CheckPatched = _unchecked
        self.schema_of: Callable[[Resource], Json] = lambda resource: None
        self.subresources: dict[tuple[str, str], Answer] = {}
        self.virtual: dict[tuple[str, str], Answer] = {}
        self.openapi: Callable[[Request], Response | None] = lambda request: None  # documents under /openapi
        self.documents: dict[str, Callable[[], Response]] = {}  # by path


def _kind_of(obj: JsonObject) -> tuple[str, str, str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    return group, obj["kind"], version


DEPTH = 8  # writes by different managers that may be put off in a row


class Parts:
    """What every verb works with."""

    def __init__(self, store: Store, registry: Registry, clock: Clock, random: Random, hooks: Hooks) -> None:
        self.store = store
        self.registry = registry
        self.clock = clock
        self.random = random
        self.hooks = hooks

    async def load(self, entry: Entry, resource: Resource) -> JsonObject:
        """The object in the version of `resource`, with its managedFields."""
        obj = entry.obj if entry.owed is None else self.settled(entry)
        if obj["apiVersion"] != resource.api_version:
            obj = (await self.convert([obj], resource, resource.api_version))[0]
        return self.hooks.read(resource, entry.rv, obj) if resource.custom else obj

    def settled(self, entry: Entry) -> JsonObject:
        """The object as stored, its managedFields worked out now if that was put off."""
        owed = entry.owed
        if owed is None:
            return entry.obj
        live = None if owed.prev is None else self.settled(owed.prev)
        entry.owed = None
        meta = dict(entry.obj["metadata"])
        meta.pop("managedFields", None)
        if live is not None and "managedFields" in live["metadata"]:
            meta["managedFields"] = live["metadata"]["managedFields"]
        obj = {**entry.obj, "metadata": meta}
        by: Manager | None = owed.by
        resource = self.registry.by_kind(*_kind_of(obj)) if by is not None else None
        if by is not None and resource is not None:
            obj = self.hooks.track(resource, obj, live, by)
        entry.obj = obj
        return obj

    def owing(self, entry: Entry | None, by: Manager) -> Owed:
        """What the next version owes when `by` writes it. Writes in a row by one manager are one."""
        if entry is None or entry.owed is None:
            return Owed(entry, by)
        last = entry.owed.by
        if last is not None and (last.name, last.subresource) == (by.name, by.subresource):
            return Owed(entry.owed.prev, by)
        if entry.owed.depth >= DEPTH:
            self.settled(entry)
        return Owed(entry, by)

    async def save(self, obj: JsonObject, resource: Resource) -> JsonObject:
        """`obj` in the version it is stored in."""
        if resource.api_version == resource.storage_version:
            return obj
        return (await self.convert([obj], resource, resource.storage_version))[0]

    async def convert(
        self, objects: list[JsonObject], resource: Resource, api_version: str
    ) -> list[JsonObject]:
        if resource.custom:
            return await self.hooks.convert(objects, resource, api_version)
        return [convert(o, api_version) for o in objects]
