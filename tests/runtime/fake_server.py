"""A tiny API server in memory that can be told to misbehave. For faults only; behaviour is the sandbox's matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import msgspec

from kruise_rollouts.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Gone,
    NotFound,
    Unavailable,
    status_of,
)
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.kube.patch import json_patch

Obj = dict[str, Any]
Fault = (
    ApiError | Callable[[], None] | str
)  # an error; something to do first; "eof", "hang", or a raw watch line


class FakeServer:
    """Satisfies kube.protocols.Api for the kinds it is given. Paths are matched by plural and name only."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = {k.plural: k for k in kinds}
        self.objects: dict[tuple[str, str, str], Obj] = {}  # plural, ns, name
        self.version = 10
        self.history: list[tuple[int, str, str, Obj]] = []  # version, plural, type, object
        self.compacted = 0  # watches from before are Gone
        self.faults: dict[str, list[Fault]] = {}  # by verb: LIST, GET, POST, PATCH, DELETE, WATCH, EVENT
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.times: list[tuple[float, str]] = []  # loop time of each request, and its verb
        self.latency: Callable[[], float] = lambda: 0.0
        self.down = False
        self.open_watches = 0
        self._waiters: list[asyncio.Future[None]] = []

    # --- what tests do ---------------------------------------------------------------------------------------

    def fail(self, verb: str, *faults: Fault) -> None:
        self.faults.setdefault(verb, []).extend(faults)

    def count(self, verb: str) -> int:
        return sum(1 for v, _, _ in self.calls if v == verb)

    def put(self, plural: str, ns: str, name: str, **body: Any) -> Obj:
        """Creates or changes an object as somebody else would."""
        old = self.objects.get((plural, ns, name))
        self.version += 1
        meta = {
            "name": name,
            "namespace": ns,
            "uid": old["metadata"]["uid"] if old else f"uid-{self.version}",
            "resourceVersion": str(self.version),
            **body.pop("metadata", {}),
        }
        obj = {**(old or {}), **body, "metadata": meta}
        self.objects[(plural, ns, name)] = obj
        self._record("MODIFIED" if old else "ADDED", plural, obj)
        return obj

    def drop(self, plural: str, ns: str, name: str) -> None:
        obj = self.objects.pop((plural, ns, name))
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self._record("DELETED", plural, obj)

    def bookmark(self, plural: str) -> None:
        self.version += 1
        self._record(
            "BOOKMARK",
            plural,
            {"metadata": {"resourceVersion": str(self.version)}, "spec": {"containers": None}},
        )

    def compact(self) -> None:
        """Forgets history: watches must list anew."""
        self.history.clear()
        self.compacted = self.version

    def _record(self, type_: str, plural: str, obj: Obj) -> None:
        self.history.append((self.version, plural, type_, obj))
        self.nudge()

    # --- Api -----------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        plural, ns, name, sub = self._parse(path)
        verb = "LIST" if method == "GET" and not name else method
        self.calls.append((verb, path, dict(params or {})))
        self.times.append((asyncio.get_running_loop().time(), verb))
        await asyncio.sleep(self.latency())
        if self.down:
            raise Unavailable("down", code=0)
        await self._fault(verb)
        sent = msgspec.json.decode(body) if body else {}
        return msgspec.json.encode(self._perform(verb, plural, ns, name, sub, dict(params or {}), sent))

    def _perform(
        self, verb: str, plural: str, ns: str, name: str, sub: str, params: dict[str, str], sent: Obj
    ) -> Obj:
        key = (plural, ns, name)
        match verb:
            case "LIST":
                return self._list(plural, ns, params)
            case "GET":
                return self._get(key)
            case "POST" if sub == "eviction":
                self._get(key)
                return {"kind": "Status", "status": "Success"}
            case "POST":
                name = sent["metadata"]["name"]
                if (plural, ns, name) in self.objects:
                    raise AlreadyExists(f'{plural} "{name}" already exists')
                return self.put(plural, ns, name, **sent)
            case "PATCH":
                live = self._get(key)
                if isinstance(sent, list):
                    return self.put(plural, ns, name, **_without_version(json_patch(live, sent)))
                meta = dict(sent.get("metadata", {}))
                wanted = meta.pop("resourceVersion", "")
                if wanted and wanted != live["metadata"]["resourceVersion"]:
                    raise Conflict(f'{plural} "{name}" has been modified')
                rest = {k: v for k, v in sent.items() if k != "metadata"}
                merged = {k: {**live.get(k, {}), **v} if isinstance(v, dict) else v for k, v in rest.items()}
                return self.put(
                    plural,
                    ns,
                    name,
                    metadata={
                        k: v for k, v in {**live["metadata"], **meta}.items() if k not in ("resourceVersion",)
                    },
                    **merged,
                )
            case "DELETE":
                live = self._get(key)
                uid = (sent.get("preconditions") or {}).get("uid", "")
                if uid and uid != live["metadata"]["uid"]:
                    raise Conflict("uid differs")
                if live["metadata"].get("finalizers"):
                    return self.put(
                        plural,
                        ns,
                        name,
                        kind=live.get("kind"),
                        metadata={
                            **{k: v for k, v in live["metadata"].items() if k != "resourceVersion"},
                            "deletionTimestamp": "2026-01-01T00:00:00Z",
                        },
                    )
                self.drop(plural, ns, name)
                return {"kind": "Status", "status": "Success", "details": {"uid": live["metadata"]["uid"]}}
        raise AssertionError(verb)

    def _get(self, key: tuple[str, str, str]) -> Obj:
        if key not in self.objects:
            raise NotFound(f'{key[0]} "{key[2]}" not found')
        return self.objects[key]

    def _list(self, plural: str, ns: str, params: dict[str, str]) -> Obj:
        all_ = [o for (p, n, _), o in sorted(self.objects.items()) if p == plural and ns in ("", n)]
        start = int(params.get("continue", "0"))
        limit = int(params.get("limit", "0")) or len(all_) or 1
        meta = {"resourceVersion": str(self.version)}
        if start + limit < len(all_):
            meta["continue"] = str(start + limit)
        return {"metadata": meta, "items": all_[start : start + limit]}

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle_seconds: float
    ) -> AsyncGenerator[bytes, None]:
        plural, ns, _, _ = self._parse(path)
        self.calls.append(("WATCH", path, dict(params)))
        await asyncio.sleep(self.latency())
        for fault in self._taken("WATCH", 1):
            if isinstance(fault, ApiError):
                raise fault
            if callable(fault):
                fault()
            elif fault == "hang":
                await asyncio.sleep(idle_seconds)
                raise Unavailable("nothing came", code=0)
            elif fault == "eof":
                return
            else:
                yield fault.encode()
                return
        self.open_watches += 1
        try:
            async for line in self._stream(plural, ns, params):
                yield line
        finally:
            self.open_watches -= 1

    async def _stream(self, plural: str, ns: str, params: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        at = int(params["resourceVersion"])
        if at < self.compacted:
            raise Gone("too old resource version")
        end = asyncio.get_running_loop().time() + float(params["timeoutSeconds"])
        while True:
            for version, of, type_, obj in list(self.history):
                if (
                    version > at
                    and of == plural
                    and (ns in ("", obj["metadata"].get("namespace", "")) or type_ == "BOOKMARK")
                ):
                    at = version
                    if at <= self.compacted:
                        break
                    yield msgspec.json.encode({"type": type_, "object": obj})
            for fault in self._taken("EVENT"):
                if isinstance(fault, ApiError) and fault.code == 0:
                    raise fault
                if isinstance(fault, ApiError):
                    yield msgspec.json.encode({"type": "ERROR", "object": status_of(fault)})
                    return
                if isinstance(fault, str):
                    yield fault.encode()
            if not await self._news(end):
                return

    # --- inside ----------------------------------------------------------------------------------------------

    async def _news(self, end: float) -> bool:
        """Waits for a change until loop time `end`; False if none came."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiters = [*(f for f in self._waiters if not f.done()), future]
        alarm = loop.call_at(end, lambda: future.done() or future.cancel())
        try:
            await future
        except asyncio.CancelledError:
            if loop.time() >= end:
                return False
            raise
        finally:
            alarm.cancel()
        return True

    def nudge(self) -> None:
        """Makes open watches look at their faults."""
        for future in self._waiters:
            if not future.done():
                future.set_result(None)

    def _taken(self, verb: str, most: int = 1000) -> list[Fault]:
        waiting = self.faults.get(verb, [])
        taken = waiting[:most]
        del waiting[:most]
        return taken

    async def _fault(self, verb: str) -> None:
        for fault in self._taken(verb, 1):
            if isinstance(fault, ApiError):
                raise fault
            if callable(fault):
                fault()
            elif fault == "hang":
                await asyncio.sleep(10_000)

    def _parse(self, path: str) -> tuple[str, str, str, str]:
        parts = path.strip("/").split("/")
        at = next(i for i, part in enumerate(parts) if part in self.kinds)
        ns = parts[at - 1] if at >= 2 and parts[at - 2] == "namespaces" else ""
        rest = parts[at + 1 :]
        return parts[at], ns, rest[0] if rest else "", rest[1] if len(rest) > 1 else ""


def _without_version(obj: Obj) -> Obj:
    """As it is sent: the server gives the version."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}
