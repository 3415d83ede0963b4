"""Durations as people write them on a command line."""

from __future__ import annotations

import re

from .errors import refusal

_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Seconds of a duration such as "90s", "1m30s", "5" or "0". Raises CommandError for anything else."""
    if text.isdigit():
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise refusal(f'invalid duration "{text}": write a number and a unit, e.g. 30s, 5m, 1h')
    return sum(float(n) * _UNIT_SECONDS[u] for n, u in parts)
