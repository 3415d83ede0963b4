"""A stage on a real API server: the manager of the whole run in this process, one namespace per scenario."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kruise_rollouts.kube.protocols import Clock

from .stage import Stage


async def cluster_stage(play: Callable[[Stage], Awaitable[None]], clock: Clock) -> None:
    raise NotImplementedError
