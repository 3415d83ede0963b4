"""How many pods the Deployment controller may take away and add, so that it stops at a batch by itself.

While no new pod counts as available, a rolling update with maxUnavailable u and maxSurge s ends with u + s new pods
and no fewer than replicas - u old ones. Raising u as new pods become ready keeps a batch within the person's own
numbers. Only arithmetic here; when to apply it is deployment_engine.py.
"""

from __future__ import annotations

from msgspec import Struct

from kruise_rollouts.api.apps import RollingUpdate
from kruise_rollouts.api.int_or_percent import IntOrPercent, parse_percent, scaled

from .plan import Slack

_CLOSE = 10  # percentage points by which rounding may have raised a share above the partition


class Bound(Struct, frozen=True):
    """maxUnavailable and maxSurge of one move, in pods. Never both 0."""

    unavailable: int
    surge: int


class Pods(Struct, frozen=True):
    """What a bound is computed from."""

    total: int  # wanted
    old: int  # existing, of all revisions but the new one
    kept_back: int  # old ones that stay until others are gone, 0..old
    ready: int  # new ones that are available by the person's own minReadySeconds


def bound_of(target: int, pods: Pods, allowed: Slack, in_force: int) -> Bound | None:
    """The bound for `target` new pods, 1..total; needs `pods.old >= total - target`. None: there is no safe one yet.

    `in_force`: maxUnavailable of the bound that is being moved within, 0 if none is. Old pods that are gone, or may
    be by now, do not come back during a move: new ones would fill the gap.
    """
    gone = max(0, pods.total - pods.old)
    unavailable = max(gone, min(target, pods.ready + allowed.unavailable, pods.total - pods.kept_back))
    surge = min(allowed.surge, target - max(unavailable, min(in_force, target)))
    return Bound(unavailable, surge) if unavailable or surge else None


def rolling_update(bound: Bound, total: int, partition: IntOrPercent) -> RollingUpdate:
    """`bound` in numbers, or in shares of `total` if the partition is a share and those are exact.

    What the bound is for moves with replicas if it is a share. A number would have every pod that is left replaced when
    an autoscaler shrinks the Deployment in mid-move. A share much greater than the partition (of few pods) would have
    too many replaced when it grows.
    """
    unavailable: IntOrPercent = bound.unavailable
    surge: IntOrPercent = bound.surge
    asked = parse_percent(partition) if isinstance(partition, str) else None
    if asked is not None and total > 0:
        percent = -(-100 * bound.unavailable // total)
        if 0 < percent <= asked + _CLOSE and percent * total // 100 == bound.unavailable:
            unavailable = f"{percent}%"
        percent = 100 * bound.surge // total
        if 0 < percent <= asked + _CLOSE and -(-percent * total // 100) == bound.surge:
            surge = f"{percent}%"
    return RollingUpdate(max_unavailable=unavailable, max_surge=surge)


def resting_update(person: RollingUpdate, allowed: Slack, surplus: int) -> RollingUpdate:
    """For a Deployment that stands still with `surplus` pods too many.

    Surge is what exists, so that the Deployment controller neither adds nor trims. Unavailable is the person's own:
    it decides how fast pods go if somebody resumes the Deployment behind our back.
    """
    unavailable = person.max_unavailable
    if unavailable is None or not _is_usable(unavailable):
        unavailable = max(1, allowed.unavailable)
    return RollingUpdate(max_unavailable=unavailable, max_surge=surplus)


def _is_usable(unavailable: IntOrPercent) -> bool:
    """More than none, and no more than the API server takes."""
    amount = scaled(unavailable, 100, up=True) or 0
    return amount > 0 and (isinstance(unavailable, int) or amount <= 100)
