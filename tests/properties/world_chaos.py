"""How machines fail while a story is played: the API server towards a manager, its watches, and the manager itself.

Wraps the Api of one manager. What is decided and written is the product's; what people do is the story's.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping

from kruise_rollouts.kube.errors import ApiError, Conflict, Gone, InternalError, TooManyRequests, Unavailable
from kruise_rollouts.kube.protocols import Api, Clock

WRITES = ("POST", "PUT", "PATCH", "DELETE")
ANSWER_SECONDS = 0.002  # nothing is answered in no time: whoever writes for ever lets time pass


class ChaosApi:
    """`api`, as one manager gets to see it. Everything is off until it is switched on."""

    def __init__(self, api: Api, clock: Clock, rng: random.Random) -> None:
        self._api = api
        self._clock = clock
        self._rng = rng
        self.dead = False  # nothing gets through any more
        self.dies_in: int | None = None  # writes until it is dead; None: it lives
        self.failing = 0.0  # share of requests that go wrong, 0..1
        self.lag = 0.0  # seconds that news may take, at most
        self.writes = 0
        self._cut = 0  # watches opened before this many have been cut
        self._opened = 0
        self._expire = 0  # watches that will be told that they ask for what is forgotten

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
        if self.dead:
            raise Unavailable("the manager is dead")
        writing = method in WRITES and "/events" not in path
        self._fail_before(writing)
        if writing:
            self._count()
        await self._clock.sleep(ANSWER_SECONDS)
        answer = await self._api.request(
            method, path, params=params, body=body, content_type=content_type, timeout=timeout
        )
        if self.failing and self._rng.random() < self.failing / 3:
            raise Unavailable("timed out: it was done, but the answer is lost")
        return answer

    def _fail_before(self, writing: bool) -> None:
        if not self.failing or self._rng.random() >= self.failing:
            return
        errors: list[ApiError] = [
            TooManyRequests("slow down", retry_after=1.0),
            InternalError("etcdserver: request timed out"),
            Unavailable("connection refused"),
        ]
        if writing:
            errors.append(Conflict("the object has been modified"))
        raise self._rng.choice(errors)

    def _count(self) -> None:
        self.writes += 1
        if self.dies_in is None:
            return
        if self.dies_in <= 0:
            self.dead = True
            raise Unavailable("the manager is dead")
        self.dies_in -= 1

    def cut_watches(self, expire: bool) -> None:
        """All watches end at their next event; `expire`: they cannot be resumed either."""
        self._cut = self._opened
        self._expire = self._opened if expire else 0

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle_seconds: float
    ) -> AsyncIterator[bytes]:
        if self.dead:
            raise Unavailable("the manager is dead")
        self._opened += 1
        number = self._opened
        if self._expire > 0 and number > self._cut:
            self._expire -= 1
            raise Gone("too old resource version")
        async for line in self._api.watch(path, params, idle_seconds=idle_seconds):
            if self.dead or number <= self._cut:
                return
            if self.lag:
                await self._clock.sleep(self._rng.uniform(0, self.lag))
            yield line
