"""Two hashes that objects carry: of a Rollout's strategy and of a BatchRelease's plan.

They are compared with values that OpenKruise Rollouts may have stored, so the encoding is Go's: fields in declared
order, empty ones left out, maps sorted, `<`, `>` and `&` escaped.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec import Struct

from .rollouts_v1beta1 import BlueGreenStrategy, CanaryStrategy, Pause, ReleasePlan, TrafficRoutingRef

_encode = msgspec.json.Encoder(order="deterministic").encode
_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: a hash never spells a word
_SPELLED = {code: _SAFE[code % len(_SAFE)] for code in range(128)}
_ESCAPED = {
    ord("<"): "\\u003c",
    ord(">"): "\\u003e",
    ord("&"): "\\u0026",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def safe_encode(text: str) -> str:
    """`text`, which is ASCII, spelled with letters that are fit for names, one for one."""
    return text.translate(_SPELLED)


def rollout_hash(strategy: CanaryStrategy | BlueGreenStrategy) -> str:
    """64 characters that change when the plan changes; pauses and failureThreshold are not part of it."""
    plain = msgspec.structs.replace(
        strategy,
        failure_threshold=None,
        steps=tuple(msgspec.structs.replace(s, pause=Pause()) for s in strategy.steps),
        traffic_routings=tuple(_without_zero_grace(t) for t in strategy.traffic_routings),
    )
    return safe_encode(_digest(plain))


def release_plan_hash(plan: ReleasePlan) -> str:
    """status.observedReleasePlanHash: 64 hexadecimal digits."""
    return _digest(plan)


def _without_zero_grace(ref: TrafficRoutingRef) -> TrafficRoutingRef:
    return msgspec.structs.replace(ref, grace_period_seconds=ref.grace_period_seconds or None)


def _digest(value: Struct) -> str:
    return sha256(_encode(value).decode().translate(_ESCAPED).encode()).hexdigest()
