"""Tells people what happened: Notes become Events, repeated ones are counted instead of repeated.

Telling never waits and never fails: a bounded queue and one sender. While the API server is away Events are kept for a
while and sent when it is back, with the time at which they were told; what cannot be sent is dropped and counted.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject, Note, Ref
from kruise_rollouts.kube.errors import (
    AlreadyExists,
    ApiError,
    InternalError,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from kruise_rollouts.kube.objects import EVENT
from kruise_rollouts.kube.protocols import Api, Clock

from .apply import MERGE_PATCH
from .clock import within
from .log import log_of

log = log_of(__name__)

PENDING = 1000  # Events waiting to be sent; more are dropped
REMEMBERED = 4096  # Events whose repetition is counted
REPEAT_SECONDS = 600.0  # the same Note within this time is a repetition
# Events about one object of one type and reason at once: a release of fifty steps tells two of each step. Another reason
# has a budget of its own, so what repeats itself cannot keep the end of a release from being told.
BURST = 150
REFILL_SECONDS = 60.0  # then one in this time
KEEP_SECONDS = 300.0  # an Event that could not be sent for so long is dropped
RETRY_FIRST, RETRY_LONGEST = 0.5, 15.0  # seconds from one attempt to the next
MESSAGE_LIMIT = 1024  # characters; the API server refuses more
NAME_LIMIT = 253

Uid = Callable[[Ref], str]  # the uid of an object if we know it, else ""


class _Told(Struct):
    """One Event as it stands at the API server, or will."""

    name: str
    first: str
    newest: str  # when it was told last
    count: int  # how often it was told
    sent: int = 0  # how often the API server knows of; 0: not created yet
    last: float = 0.0  # mono


class _Budget(Struct):
    """How many more Events of one kind one object may have now."""

    left: float
    at: float  # mono


class Recorder:
    """`tell(note)` from anywhere in the loop; `run()` as a task sends."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        component: str,
        instance: str = "",
        uid_of: Uid = lambda ref: "",
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        """`component` and `instance`: who says so, e.g. "rollout-controller" and the pod's name. `on_drop` is called for
        each Event that nobody will see."""
        self.dropped = 0
        self._on_drop = on_drop
        self._api = api
        self._clock = clock
        self._component = component
        self._instance = instance or component
        self._uid_of = uid_of
        self._told: OrderedDict[Note, _Told] = OrderedDict()
        self._pending: OrderedDict[Note, None] = OrderedDict()
        self._budgets: OrderedDict[tuple[Ref, str, str], _Budget] = OrderedDict()  # by object, type, reason
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def tell(self, note: Note) -> None:
        """Sends `note` soon, as a new Event or as one more of a known one."""
        told = self._told.get(note)
        now, wall = self._clock.mono(), self._clock.now()
        if told is None or now - told.last > REPEAT_SECONDS:
            if len(self._pending) >= PENDING or not self._within_budget(note, now):
                self._drop()
                return
            told = _Told(_name(note, wall), _time(wall), _time(wall), 0)
        told.count += 1
        told.newest = _time(wall)
        told.last = now
        self._told[note] = told
        self._told.move_to_end(note)
        self._pending[note] = None
        if len(self._told) > REMEMBERED:
            forgotten, _ = self._told.popitem(last=False)
            if forgotten in self._pending:
                del self._pending[forgotten]
                self._drop()
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Sends until cancelled."""
        delay = RETRY_FIRST
        while True:
            if not self._pending:
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
            note, _ = self._pending.popitem(last=False)
            told = self._told.get(note)
            if told is None:
                continue
            at_least = await self._deliver(note, told)
            if at_least is None:
                delay = RETRY_FIRST
                continue
            await self._clock.sleep(max(delay, at_least))
            delay = min(2 * delay, RETRY_LONGEST)

    async def flush(self, seconds: float) -> None:
        """Returns when all is sent, or after `seconds`."""
        try:
            await within(self._clock, seconds, self._idle.wait())
        except TimeoutError:
            log.warning("events were not sent before the stop", events=len(self._pending))

    async def _deliver(self, note: Note, told: _Told) -> float | None:
        """Sends one, or keeps it for later: then the seconds that the API server asks to be left alone, else None."""
        try:
            await self._send(note, told)
        except (Unavailable, TooManyRequests, InternalError) as error:
            self._pending[note] = None
            # An answer of 500 may be about this one alone, so others come first; if nobody answers, the order is kept.
            self._pending.move_to_end(note, last=isinstance(error, InternalError))
            self._give_up_old()
            return error.retry_after or 0.0
        except ApiError as error:  # e.g. the namespace is being deleted
            log.debug("an event was refused", ref=str(note.ref), reason=note.reason, error=error.message)
            self._drop()
        return None

    def _give_up_old(self) -> None:
        """Drops what has waited for too long, so that there is room for what is new."""
        now = self._clock.mono()
        for note in list(self._pending):
            told = self._told.get(note)
            if told is None or now - told.last > KEEP_SECONDS:
                del self._pending[note]
                self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        self._on_drop()

    async def _send(self, note: Note, told: _Told) -> None:
        count = told.count
        if told.sent:
            try:
                await self._count(note, told)
                told.sent = count
                return
            except NotFound:  # Events live for an hour
                told.name = _name(note, self._clock.now())
        try:
            body = msgspec.json.encode(self._event(note, told))
            await self._api.request("POST", EVENT.path(_ns(note.ref)), body=body)
        except AlreadyExists:  # the answer to an earlier attempt was lost
            await self._count(note, told)
        told.sent = count

    async def _count(self, note: Note, told: _Told) -> None:
        body = {"count": told.count, "lastTimestamp": told.newest}
        await self._api.request(
            "PATCH",
            EVENT.path(_ns(note.ref), told.name),
            body=msgspec.json.encode(body),
            content_type=MERGE_PATCH,
        )

    def _event(self, note: Note, told: _Told) -> JsonObject:
        ref = note.ref
        involved = {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.ns,
            "name": ref.name,
            "uid": self._uid_of(ref),
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": told.name, "namespace": _ns(ref)},
            "involvedObject": {field: value for field, value in involved.items() if value},
            "reason": note.reason,
            "message": note.message[:MESSAGE_LIMIT],
            "type": note.type,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            "firstTimestamp": told.first,
            "lastTimestamp": told.newest,
            "count": told.count,
        }

    def _within_budget(self, note: Note, now: float) -> bool:
        """Takes one Event from the budget of those like `note`; False if there is none left."""
        like = (note.ref, note.type, note.reason)
        budget = self._budgets.pop(like, None) or _Budget(BURST, now)
        budget.left = min(BURST, budget.left + (now - budget.at) / REFILL_SECONDS)
        budget.at = now
        self._budgets[like] = budget
        if len(self._budgets) > REMEMBERED:
            self._budgets.popitem(last=False)
        if budget.left < 1:
            return False
        budget.left -= 1
        return True


def _ns(ref: Ref) -> str:
    """Events about cluster-scoped objects live in `default`."""
    return ref.ns or "default"


def _name(note: Note, now: datetime) -> str:
    """A name nobody else makes: the object's, and a digest of what was said and when."""
    said = f"{note.ref}|{note.type}|{note.reason}|{note.message}|{now.isoformat()}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return f"{note.ref.name[: NAME_LIMIT - 17]}.{digest}"


def _time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
