"""Conditions of Rollouts and BatchReleases: set, change, remove; one of each type, in the order they came.

What they say is decided elsewhere.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from kruise_rollouts.api.rollouts_v1beta1 import Condition

STALLED = "Stalled"  # True: nothing goes on until a person acts; the name kstatus-aware tools look for


def set_condition(
    conditions: tuple[Condition, ...], wanted: Condition, now: datetime, *, fresh: bool = False
) -> tuple[Condition, ...]:
    """`conditions` with `wanted` in place of the one of its type; times are filled in here.

    The same tuple if nothing but times would change and not `fresh`. lastTransitionTime moves with the status only.
    """
    old = next((c for c in conditions if c.type == wanted.type), None)
    if old is None:
        return (*conditions, replace(wanted, last_update_time=now, last_transition_time=now))
    same = (old.status, old.reason, old.message) == (wanted.status, wanted.reason, wanted.message)
    if same and not fresh:
        return conditions
    turned = fresh or old.status != wanted.status or old.last_transition_time is None
    new = replace(
        wanted, last_update_time=now, last_transition_time=now if turned else old.last_transition_time
    )
    return tuple(new if c is old else c for c in conditions)


def without(conditions: tuple[Condition, ...], *types: str) -> tuple[Condition, ...]:
    """`conditions` less those of `types`; the same tuple if there are none."""
    kept = tuple(c for c in conditions if c.type not in types)
    return conditions if len(kept) == len(conditions) else kept
