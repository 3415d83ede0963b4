"""Durations as kubectl prints them: two units at most, the smaller one dropped as they grow."""

from __future__ import annotations

from datetime import datetime

from kruise_rollouts.kube import durations


def age(since: str, now: datetime) -> str:
    """Time from the RFC 3339 timestamp `since` to `now`, e.g. "42s", "5m10s", "3h", "12d"; "<unknown>" if unreadable."""
    try:
        began = datetime.fromisoformat(since.replace("Z", "+00:00"))
    except ValueError:
        return "<unknown>"
    return duration((now - began).total_seconds())


def duration(seconds: float) -> str:
    """`seconds` in kubectl's short form; negative values (clock skew) read as 0s."""
    return durations.duration(max(0.0, seconds))
