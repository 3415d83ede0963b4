"""Durations as kubectl prints them: two units at most, the smaller one dropped as they grow."""

from __future__ import annotations

from datetime import datetime


def age(since: str, now: datetime) -> str:
    """Time from the RFC 3339 timestamp `since` to `now`, e.g. "42s", "5m10s", "3h", "12d"; "<unknown>" if unreadable."""
    try:
        began = datetime.fromisoformat(since.replace("Z", "+00:00"))
    except ValueError:
        return "<unknown>"
    return duration((now - began).total_seconds())


def duration(seconds: float) -> str:
    """`seconds` in kubectl's short form; negative values (clock skew) read as 0s."""
    s = max(0, int(seconds))
    minutes, hours, days = s // 60, s // 3600, s // 86400
    if s < 120:
        return f"{s}s"
    if minutes < 10:
        return _two(minutes, "m", s % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"
