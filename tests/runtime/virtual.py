"""Async tests on virtual time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from kruise_rollouts.runtime.clock import run_virtual


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes an async test one that runs on a virtual loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        run_virtual(test(*args, **named))

    return run
