"""`@scenario` makes a story a test: `async def test_...(stage, ...)`, played where the parameter `stage` says."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from kruise_rollouts.runtime.clock import LoopClock, WallClock, run_virtual

from .on_cluster import cluster_stage
from .on_sandbox import sandbox_stage
from .stage import Stage


def scenario(story: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test that plays `story`. Its event loop is the place's: virtual in the sandbox."""

    @functools.wraps(story)
    def test(stage: str, **arguments: Any) -> None:
        async def play(at: Stage) -> None:
            await story(at, **arguments)

        if stage == "sandbox":
            run_virtual(sandbox_stage(play, LoopClock()))
        else:
            asyncio.run(cluster_stage(play, WallClock()))

    return test
