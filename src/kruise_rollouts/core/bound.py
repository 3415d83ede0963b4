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

_CLOSE = 10  # percentage points that rounding up to whole pods may add


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


def closer(bound: Bound | None, in_force: Bound, allowed: Slack) -> Bound | None:
    """What is in force, as far as `bound` allows that much; None if that leaves nothing."""
    if bound is None:
        return None
    most = bound.unavailable + bound.surge
    if in_force.unavailable <= bound.unavailable and in_force.surge <= min(
        allowed.surge, most - in_force.unavailable
    ):
        return in_force  # it leads nowhere that `bound` does not
    unavailable = min(bound.unavailable, in_force.unavailable)
    surge = min(bound.surge, in_force.surge)
    return Bound(unavailable, surge) if unavailable or surge else None


def rolling_update(bound: Bound, total: int, partition: IntOrPercent, person: RollingUpdate) -> RollingUpdate:
    """`bound` as shares of `total` where what it is derived from is a share as well, else in numbers.

    Replicas may change in mid-move. With a number, an autoscaler that shrinks the Deployment would have every pod that
    is left replaced; with a share of few pods, one that grows it would have too many replaced or added.
    """
    fewer = -(-100 * bound.unavailable // total)  # read back rounded down
    exact = fewer * total // 100 == bound.unavailable and _is_near(fewer, partition)
    unavailable: IntOrPercent = f"{fewer}%" if exact else bound.unavailable
    more = 100 * bound.surge // total  # read back rounded up
    exact = -(-more * total // 100) == bound.surge and _is_near(more, partition, person.max_surge)
    surge: IntOrPercent = f"{more}%" if exact else bound.surge
    return RollingUpdate(max_unavailable=unavailable, max_surge=surge)


def _is_near(percent: int, *origins: IntOrPercent | None) -> bool:
    """Whether a share is hardly greater than each of those it comes from; False if one of them is a number."""
    shares = [parse_percent(o) if isinstance(o, str) else None for o in origins]
    return percent > 0 and all(s is not None and percent <= s + _CLOSE for s in shares)


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
