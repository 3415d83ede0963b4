"""Leader election by a Lease: of several replicas one at a time runs the controllers.

Never two at once: a rival is judged by changes we observe on our own monotonic clock, never by its timestamps; we
count our own lease from before the request that renewed it, and stop working well before a rival may take it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from random import Random

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from kruise_rollouts.kube.objects import LEASE, Meta
from kruise_rollouts.kube.protocols import Api, Clock

from .apply import MERGE_PATCH, Fenced
from .clock import cancelled, first_of, within
from .log import log_of

log = log_of(__name__)


class LeaseTimes(Struct, frozen=True):
    """Seconds. lease > deadline > renew, retry."""

    lease: float = 15.0  # a rival waits this long after the last renewal it saw
    deadline: float = 10.0  # we stop this long after our last renewal
    renew: float = 5.0  # between renewals
    retry: float = 2.0  # between attempts to get or, after a failure, to renew it


class LeaseLost(Exception):
    """We led and no longer may; the process should end and start anew."""


class _LeaseSpec(Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Lease(Struct, frozen=True):
    metadata: Meta = Meta()
    spec: _LeaseSpec = _LeaseSpec()


_decode = msgspec.json.Decoder(_Lease).decode


class Elector:
    """Competes for one Lease as `identity`, which no other process may use, not even an earlier one."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        ns: str,
        name: str,
        identity: str,
        times: LeaseTimes | None = None,
        rng: Random | None = None,
    ) -> None:
        self.identity = identity
        self._api = api
        self._clock = clock
        self._ns = ns
        self._name = name
        self._times = times or LeaseTimes()
        self._rng = rng or Random()
        self._held_since: float | None = (
            None  # mono, just before the request that last renewed it; None: not held
        )
        self._lease: _Lease | None = None  # as we last wrote it; None: read it before writing
        self._observed: _LeaseSpec | None = None
        self._observed_at = 0.0  # mono, when we first saw the lease as `_observed`
        self._log = log.bind(lease=f"{ns}/{name}", identity=identity)

    @property
    def leading(self) -> bool:
        """Whether we may act at this very moment. To be asked before every write."""
        return self.left > 0

    @property
    def left(self) -> float:
        """Seconds for which we may act if the lease is not renewed again; 0 or less: not at all."""
        if self._held_since is None:
            return 0.0
        return self._held_since + self._times.deadline - self._clock.mono()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Waits for the lease, then runs `lead` while holding it and gives it back.

        Raises LeaseLost, with `lead` cancelled and ended, if the lease cannot be kept.
        """
        await self._acquire()
        self._log.info("leading")
        work = asyncio.ensure_future(lead())
        try:
            await self._keep(work)
            if work.done():
                work.result()
                return
            raise LeaseLost(f"the lease {self._ns}/{self._name} could not be renewed in time")
        finally:
            await cancelled(work)
            await self._release()

    async def _acquire(self) -> None:
        while True:
            try:
                if await self._attempt(self._times.deadline):
                    return
            except (ApiError, TimeoutError, msgspec.MsgspecError) as error:
                self._log.warning("the lease cannot be read or taken", error=str(error))
            await self._clock.sleep(self._times.retry * self._rng.uniform(1.0, 1.2))

    async def _keep(self, work: asyncio.Future[None]) -> None:
        """Renews until `work` is done or the deadline has passed or another holds the lease."""
        pause = self._times.renew
        while self._held_since is not None:
            left = self._held_since + self._times.deadline - self._clock.mono()
            if left <= 0:
                return
            if await self._done_within(work, min(pause, left)):
                return
            left = self._held_since + self._times.deadline - self._clock.mono()
            if left <= 0:
                return
            renewal = asyncio.ensure_future(self._renew(left))
            await first_of(renewal, work)
            if not renewal.done():  # the work ended: whether this renewal arrives no longer matters
                await cancelled(renewal)
                self._lease = None
                return
            pause = self._times.renew if renewal.result() else self._times.retry

    async def _renew(self, left: float) -> bool:
        """Whether the lease was renewed. `left`: seconds until the deadline."""
        try:
            if await self._attempt(left):
                return True
            self._held_since = None
            self._log.error("another replica holds the lease")
        except (ApiError, TimeoutError, msgspec.MsgspecError) as error:
            self._lease = None
            self._log.warning("the lease was not renewed", error=str(error))
        return False

    async def _done_within(self, work: asyncio.Future[None], seconds: float) -> bool:
        alarm = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await first_of(alarm, work)
        finally:
            await cancelled(alarm)
        return work.done()

    async def _attempt(self, seconds: float) -> bool:
        """Takes or renews the lease; False if another holds it. Raises ApiError and TimeoutError."""
        return await within(self._clock, seconds, self._take_or_renew())

    async def _take_or_renew(self) -> bool:
        lease = self._lease if self._held_since is not None else None
        for _ in range(2):  # a Conflict may be the echo of a renewal of ours whose answer was lost
            if lease is None:
                lease = await self._read()
            if lease is None:
                return await self._create()
            if self._is_taken(lease):
                return False
            try:
                await self._write(lease)
                return True
            except Conflict:
                lease = None
        raise Conflict("the lease changes faster than it can be taken")

    def _is_taken(self, lease: _Lease) -> bool:
        """Whether another holds `lease`, and may still be working."""
        if lease.spec != self._observed:
            self._observed, self._observed_at = lease.spec, self._clock.mono()
        if lease.spec.holder_identity in (None, "", self.identity):
            return False
        lasts = max(float(lease.spec.lease_duration_seconds or 0), 1.0)
        return self._clock.mono() < self._observed_at + lasts

    async def _read(self) -> _Lease | None:
        try:
            return _decode(await self._api.request("GET", LEASE.path(self._ns, self._name)))
        except NotFound:
            return None

    async def _create(self) -> bool:
        started = self._clock.mono()
        now = _micro_time(self._clock.now())
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._ns},
            "spec": {**self._spec(now), "acquireTime": now, "leaseTransitions": 0},
        }
        try:
            answer = await self._api.request("POST", LEASE.path(self._ns), body=msgspec.json.encode(body))
        except AlreadyExists:
            return False
        self._lease, self._held_since = _decode(answer), started
        return True

    async def _write(self, lease: _Lease) -> None:
        started = self._clock.mono()
        now = _micro_time(self._clock.now())
        spec = self._spec(now)
        if lease.spec.holder_identity != self.identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = (lease.spec.lease_transitions or 0) + 1
        self._lease = _decode(await self._patch(spec, lease.metadata.resource_version))
        self._held_since = started

    def _spec(self, now: str) -> JsonObject:
        duration = int(self._times.lease)
        return {"holderIdentity": self.identity, "leaseDurationSeconds": duration, "renewTime": now}

    async def _patch(self, spec: JsonObject, resource_version: str) -> bytes:
        body = {"metadata": {"resourceVersion": resource_version}, "spec": spec}
        return await self._api.request(
            "PATCH",
            LEASE.path(self._ns, self._name),
            body=msgspec.json.encode(body),
            content_type=MERGE_PATCH,
        )

    async def _release(self) -> None:
        """Gives the lease back, so that a rival need not wait for its end. The work has ended before."""
        self._held_since = None
        try:
            await within(self._clock, self._times.retry, self._give_back())
        except (ApiError, TimeoutError, msgspec.MsgspecError) as error:
            self._log.warning("the lease was not given back and will run out", error=str(error))

    async def _give_back(self) -> None:
        found = await self._read()
        if found is not None and found.spec.holder_identity == self.identity:
            await self._patch(
                {"holderIdentity": "", "leaseDurationSeconds": 1}, found.metadata.resource_version
            )


class FencedApi:
    """`api` for who may act while `elector` leads: a write that is not done by then is given up.

    So a process that was stopped in the middle of a write, and wakes up when another leads, does not send it.
    """

    def __init__(self, api: Api, elector: Elector) -> None:
        self._api = api
        self._elector = elector

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
        if method != "GET":
            left = self._elector.left
            if left <= 0:
                raise Fenced(f"{method} {path}: not sent, another replica may be leading")
            timeout = left if timeout is None else min(timeout, left)
        return await self._api.request(
            method, path, params=params, body=body, content_type=content_type, timeout=timeout
        )

    def watch(self, path: str, params: Mapping[str, str], *, idle_seconds: float) -> AsyncIterator[bytes]:
        return self._api.watch(path, params, idle_seconds=idle_seconds)


def _micro_time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
