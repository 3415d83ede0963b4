"""Events of the sandbox's own controllers: written one by one, repeated ones counted, floods cut off.

Who tells never waits: notes are queued, and one task writes them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject, Note
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import EVENT
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.sandbox.controllers import facts
from kruise_rollouts.sandbox.controllers.world import World

from .request import Options, User
from .server import Server

REMEMBERED = 4096  # events that can still be counted up, and objects whose rate is known
BURST = 25  # events about one object from one component, then one in REFILL_SECONDS
REFILL_SECONDS = 300.0
ALIKE = 10  # so many different messages about one object for one reason become one Event ...
ALIKE_SECONDS = 600.0  # ... unless so much time passes in between
FLOOD = 400  # ordinary events about pods, of all of them together; then FLOOD_REFILL a second
FLOOD_REFILL = 20.0


class _Told(Struct):
    name: str
    count: int


class _Waiting(Struct, frozen=True):
    component: str
    note: Note
    obj: JsonObject
    at: datetime


class Teller:
    """Takes notes and makes Events of them."""

    def __init__(self, server: Server, world: World, clock: Clock, user: User) -> None:
        self._server, self._world, self._clock, self._user = server, world, clock, user
        self._waiting: deque[_Waiting] = deque()
        self._known: OrderedDict[tuple[str, ...], _Told] = OrderedDict()
        self._rates: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # tokens, since
        self._said: OrderedDict[tuple[str, ...], tuple[set[str], datetime]] = OrderedDict()
        self._serial = 0
        self._flood = (float(FLOOD), clock.mono())  # tokens, since

    def tell(self, component: str, note: Note) -> None:
        """Notes it down; drops it if its object has been told of too often lately, or does not exist."""
        ref = note.ref
        obj = self._world.at((ref.group, ref.kind), ref.ns, ref.name)
        if obj is None or not self._may(component, facts.uid(obj)):
            return
        if ref.kind == "Pod" and note.type == "Normal" and not self._may_flood():
            return
        self._waiting.append(_Waiting(component, note, obj, self._clock.now()))

    def _may(self, component: str, uid: str) -> bool:
        now = self._clock.mono()
        key = (component, uid)
        tokens, since = self._rates.pop(key, (float(BURST), now))
        tokens = min(tokens + (now - since) / REFILL_SECONDS, float(BURST))
        allowed = tokens >= 1
        self._rates[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._rates) > REMEMBERED:
            self._rates.popitem(last=False)
        return allowed

    def _may_flood(self) -> bool:
        """Thousands of pods that start at once would drown everything in events nobody reads."""
        now = self._clock.mono()
        tokens, since = self._flood
        tokens = min(tokens + (now - since) * FLOOD_REFILL, float(FLOOD))
        allowed = tokens >= 1
        self._flood = (tokens - 1 if allowed else tokens, now)
        return allowed

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    async def write_some(self, limit: int) -> None:
        """Writes up to `limit` Events."""
        for _ in range(min(limit, len(self._waiting))):
            try:
                await self._write(self._waiting.popleft())
            except ApiError:
                continue  # its namespace is going away, or admission refuses Events: nobody is waiting for it

    async def _write(self, waiting: _Waiting) -> None:
        resource = self._server.registry.find("", "v1", EVENT.plural)
        if resource is None:
            return
        key, message = self._key(waiting)
        ns, at = facts.ns(waiting.obj) or "default", waiting.at
        options = Options(field_manager=waiting.component)
        told = self._known.get(key)
        if told is not None and self._world.get(EVENT, ns, told.name) is not None:
            told.count += 1
            self._known.move_to_end(key)
            body: JsonObject = {"count": told.count, "lastTimestamp": facts.stamp(at), "message": message}
            await self._server.call("patch", resource, ns, told.name, body, options=options, user=self._user)
            return
        self._serial += 1
        name = f"{facts.name(waiting.obj)}.{int(at.timestamp() * 1e6) * 1000 + self._serial % 1000:x}"
        self._known[key] = _Told(name, 1)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        body = _event(waiting, ns, name, message)
        await self._server.call("create", resource, ns, "", body, options=options, user=self._user)

    def _key(self, waiting: _Waiting) -> tuple[tuple[str, ...], str]:
        """Which Event this note belongs to, and the message it gets: many that differ in words only become one."""
        note, at = waiting.note, waiting.at
        alike = (waiting.component, facts.uid(waiting.obj), note.reason, note.type)
        said, last = self._said.pop(alike, (set(), at))
        if (at - last).total_seconds() > ALIKE_SECONDS:
            said = set()
        said.add(note.message)
        combined = len(said) >= ALIKE
        if len(said) > ALIKE:
            said.discard(next(m for m in said if m != note.message))
        self._said[alike] = (said, at)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        if combined:
            return alike, f"(combined from similar events): {note.message}"
        return (*alike, note.message), note.message


def _event(waiting: _Waiting, ns: str, name: str, message: str) -> JsonObject:
    component, note, obj, at = waiting.component, waiting.note, waiting.obj, waiting.at
    involved = {
        "apiVersion": note.ref.api_version,
        "kind": note.ref.kind,
        "name": note.ref.name,
        "uid": facts.uid(obj),
        "resourceVersion": facts.version(obj),
    }
    if note.ref.ns:
        involved["namespace"] = note.ref.ns
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": ns},
        "involvedObject": involved,
        "reason": note.reason,
        "message": message[:1024],
        "type": note.type,
        "count": 1,
        "firstTimestamp": facts.stamp(at),
        "lastTimestamp": facts.stamp(at),
        "eventTime": None,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }
