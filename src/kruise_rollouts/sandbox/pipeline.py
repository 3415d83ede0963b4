"""The places where other parts take part in a request. Each has a default that does nothing.

`Hooks` is a plain bag of functions which sandbox.py fills:

- access.py: `authenticate(headers) -> User` and `authorize(user, target)`, which raise Unauthorized, Forbidden.
- admission.py: `mutate(attempt) -> (obj, warnings)` before defaults and validation are final, `check(attempt) ->
  warnings` after them. Both raise ApiError to refuse. `attempt.obj` is in the version of `attempt.resource`.
- crd.py: `schema_of(resource)`, `prepare(resource, obj)` (prune, default), `validate(...)`, `convert(...)`.
- `subresources[(plural.group, name)]`: async functions that answer a subresource in full (serviceaccounts/token);
  `virtual[(group, plural)]`: the same for kinds that are answered but never stored (reviews).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause

from .defaults import apply_defaults
from .request import ANONYMOUS, SYSTEM, Call, Target, User
from .resources import Resource
from .validation import validate


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


async def _admit_all(attempt: Attempt) -> tuple[JsonObject | None, tuple[str, ...]]:
    return attempt.obj, ()


async def _no_objection(attempt: Attempt) -> tuple[str, ...]:
    return ()


async def _as_is(objects: list[JsonObject], resource: Resource, api_version: str) -> list[JsonObject]:
    return [{**o, "apiVersion": api_version} for o in objects]


def _anybody(headers: Mapping[str, str]) -> User:
    return SYSTEM if "authorization" in headers else ANONYMOUS


def _anything(user: User, target: Target) -> None:
    return None


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
        self.schema_of: Callable[[Resource], Json] = lambda resource: None
        self.subresources: dict[tuple[str, str], Answer] = {}
        self.virtual: dict[tuple[str, str], Answer] = {}
        self.openapi: Callable[[str], bytes | None] = lambda path: None  # documents under /openapi
