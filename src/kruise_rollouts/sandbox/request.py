"""What a request is, once its path and parameters are read: who, which verb, which resource, with which options.

Bodies are decoded in wire/body.py, the Accept header is read in wire/negotiate.py.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TypeAlias

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import BadRequest

from .resources import Resource

Query: TypeAlias = tuple[tuple[str, str], ...]


class User(Struct, frozen=True):
    """Who asks. Groups include system:authenticated where they should."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


# Who `Server.call` acts as unless told otherwise: allowed everything.
SYSTEM = User("system:apiserver", groups=("system:masters", "system:authenticated"))
ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


class Request(Struct, frozen=True):
    """An HTTP request, whole. `user` not None: already authenticated (in this process)."""

    method: str
    path: str  # decoded, without the query
    query: Query = ()
    headers: dict[str, str] = {}  # names in lower case
    body: bytes = b""
    user: User | None = None


class Response(Struct, frozen=True):
    """An HTTP answer; a watch has `stream` (chunks of whole lines) in place of `body`."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None


class Target(Struct, frozen=True):
    """What the path and method name. `plural` "" means a path that is no resource (discovery, health, ...)."""

    verb: str  # get list watch create update patch delete deletecollection; lower-case method for other paths
    path: str
    group: str = ""
    version: str = ""
    plural: str = ""
    ns: str = ""
    name: str = ""
    subresource: str = ""
    selected: str = ""  # list, watch: the one name that its fieldSelector lets through


class Options(Struct, frozen=True):
    """Query parameters (and DeleteOptions) of the resource verbs, read and checked."""

    dry_run: bool = False
    dry_runs: tuple[str, ...] = ()  # as written
    field_manager: str = ""
    force: bool = False
    field_validation: str = ""  # Strict, Warn, Ignore; "": the server's default, Warn
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0  # 0: no paging
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    send_initial_events: bool | None = None
    allow_bookmarks: bool = False
    timeout_seconds: int = 0  # 0: the server's default
    grace_period_seconds: int | None = None  # None: the kind's default
    propagation: str = ""  # Background, Foreground, Orphan; "": the kind's default
    asked_twice: bool = False  # for the policy and for what it replaces, orphanDependents
    uid: str | None = None  # precondition
    precondition_rv: str | None = None
    user_agent: str = ""  # default name of the field manager


class Call(Struct, frozen=True):
    """One request for a resource, decoded. `warnings` is filled while it runs."""

    verb: str
    resource: Resource
    ns: str
    name: str
    subresource: str
    options: Options
    user: User
    body: JsonObject | None = None
    content_type: str = "application/json"
    query: Query = ()
    warnings: list[str] = msgspec.field(default_factory=list)
    # The answer may lack the latest managedFields, which are then worked out when somebody reads the object.
    owing: bool = False

    @property
    def manager(self) -> str:
        """Name under which this request owns the fields it writes."""
        return self.options.field_manager or self.options.user_agent.split("/")[0][:128] or "unknown"


_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
}


def _truth(value: str) -> bool:
    return value.lower() not in ("", "false", "0")


def route(method: str, path: str, query: Query) -> Target:
    """The target of a path. A path that is no resource keeps `plural` ""."""
    parts = [p for p in path.split("/") if p]
    other = Target(verb=method.lower(), path=path)
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return other
    watching = False
    if rest[0] == "watch" and len(rest) > 1:  # the old form of a watch; clients of 2017 still use it
        watching, rest = True, rest[1:]
    ns = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        ns, rest = rest[1], rest[2:]
    plural, name = rest[0], rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if plural == "namespaces":
        ns = name
    verb = _VERBS.get(method, "")
    if verb == "get" and (watching or not name):
        wanted = watching or any(k == "watch" and _truth(v) for k, v in query)
        verb = "watch" if wanted else "list"
    if verb == "delete" and not name:
        verb = "deletecollection"
    selected = "" if name else _selected_name(query)
    return Target(verb, path, group, version, plural, ns, name, subresource, selected)


def _selected_name(query: Query) -> str:
    """The name that a fieldSelector wants, for rules with resourceNames."""
    parts = next((v for k, v in query if k == "fieldSelector"), "").split(",")
    names = [p.partition("=")[2].lstrip("=") for p in parts if p.partition("=")[0].strip() == "metadata.name"]
    return names[0] if len(names) == 1 else ""


def _int(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadRequest(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


def options_of(query: Query, user_agent: str = "") -> Options:
    """Options from query parameters. Unknown ones are ignored, as Kubernetes does. Raises BadRequest."""
    if not query:
        return Options(user_agent=user_agent)
    seen: dict[str, str] = {}
    for key, value in query:
        seen.setdefault(key, value)
    grace, initial = seen.get("gracePeriodSeconds", ""), seen.get("sendInitialEvents", "")
    orphan = seen.get("orphanDependents", "")
    propagation = seen.get("propagationPolicy", "")
    asked_twice = bool(orphan and propagation)
    if orphan and not propagation:
        propagation = "Orphan" if _truth(orphan) else "Background"
    return Options(
        dry_runs=tuple(v for k, v in query if k == "dryRun"),
        dry_run="All" in (v for k, v in query if k == "dryRun"),
        field_manager=seen.get("fieldManager", ""),
        force=_truth(seen.get("force", "")),
        field_validation=seen.get("fieldValidation", ""),
        label_selector=seen.get("labelSelector", ""),
        field_selector=seen.get("fieldSelector", ""),
        limit=_int(seen.get("limit") or "0"),
        continue_token=seen.get("continue", ""),
        resource_version=seen.get("resourceVersion", ""),
        resource_version_match=seen.get("resourceVersionMatch", ""),
        send_initial_events=_truth(initial) if initial else None,
        allow_bookmarks=_truth(seen.get("allowWatchBookmarks", "")),
        timeout_seconds=_int(seen.get("timeoutSeconds") or "0"),
        grace_period_seconds=_int(grace) if grace else None,
        propagation=propagation,
        asked_twice=asked_twice,
        user_agent=user_agent,
    )
