"""The machine's clock, read. Apart from clock.py so that a program which never sleeps need not load asyncio."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The time of day, UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def mono() -> float:
    """Seconds that only grow."""
    return time.monotonic()
