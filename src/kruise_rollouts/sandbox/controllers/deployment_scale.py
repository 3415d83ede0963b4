"""How many pods each ReplicaSet of a Deployment gets next: growing the new one, shrinking the old ones, resizing all.

Pure arithmetic on `Rs` values; every function returns the ReplicaSets to write with their sizes, () for none.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from .deployment_view import DESIRED_REPLICAS, MAX_REPLICAS, Dep, Rs, active, total

Sizes: TypeAlias = list[tuple[Rs, int]]


def new_size(dep: Dep, sets: list[Rs], new: Rs | None) -> int:
    """Size of the new ReplicaSet: as far up as surge allows. `new` None: it is about to be created."""
    size = new.size if new else 0
    if not dep.rolling or size >= dep.replicas:
        return dep.replicas
    room = dep.replicas + dep.surge - total(sets)
    return size + min(max(room, 0), dep.replicas - size)


def reconcile_old(dep: Dep, sets: list[Rs], old: list[Rs], new: Rs) -> Sizes:
    """Shrinks the old ReplicaSets as far as availability allows; their unhealthy pods first, oldest set first.

    New pods that are not available yet count against what may go, so that they never cost a second old pod.
    """
    shrinking = sorted(active(old), key=lambda r: r.born)
    if not shrinking:
        return []
    budget = total(sets) - dep.min_available - (new.size - new.available)
    if budget <= 0:
        return []
    sizes = {r.uid: r.size for r in shrinking}
    for rs in shrinking:
        unhealthy = sizes[rs.uid] - rs.available
        if budget > 0 and unhealthy < 0:
            return []  # its status lags behind its size: counts are not to be trusted yet
        if budget > 0:
            gone = min(budget, unhealthy)
            sizes[rs.uid] -= gone
            budget -= gone
    spare = sum(r.available for r in shrinking) + new.available - dep.min_available
    for rs in shrinking:
        if spare > 0:
            gone = min(sizes[rs.uid], spare)
            sizes[rs.uid] -= gone
            spare -= gone
    return [(r, sizes[r.uid]) for r in shrinking if sizes[r.uid] != r.size]


def proportional(dep: Dep, new: Rs | None, old: list[Rs], shown_replicas: int) -> Sizes:
    """Sizes after spec.replicas (or the surge) changed while no rollout may proceed.

    One active ReplicaSet takes it all; several share it by size. `shown_replicas`: status.replicas, used when a
    ReplicaSet has lost the annotation that says for which total it was sized.
    """
    sets = [*old, new] if new else list(old)
    alive = active(sets)
    if len(alive) <= 1:
        return _only_one(dep, new, old, alive)
    if new is not None and _is_saturated(dep, new):
        return [(rs, 0) for rs in active(old)]
    if not dep.rolling:
        return []
    allowed = dep.replicas + dep.surge if dep.replicas else 0
    missing = allowed - total(alive)
    sizes = _shares(dep, alive, missing, shown_replicas)
    wanted = {DESIRED_REPLICAS: str(dep.replicas), MAX_REPLICAS: str(dep.replicas + dep.surge)}
    return [
        (rs, size) for rs, size in sizes if size != rs.size or not wanted.items() <= rs.annotations.items()
    ]


def _only_one(dep: Dep, new: Rs | None, old: list[Rs], alive: list[Rs]) -> Sizes:
    if alive:
        chosen: Rs | None = alive[0]
    else:
        chosen = new or max(old, key=lambda r: r.born, default=None)
    if chosen is None or chosen.size == dep.replicas:
        return []
    return [(chosen, dep.replicas)]


def _is_saturated(dep: Dep, new: Rs) -> bool:
    return new.size == dep.replicas == new.available and new.annotated(DESIRED_REPLICAS) == dep.replicas


def _shares(dep: Dep, alive: list[Rs], missing: int, shown_replicas: int) -> Sizes:
    """Spreads `missing` pods (negative: surplus) over `alive`, largest first; the largest gets what rounding left.

    Of equals the newest grows first and the oldest shrinks first.
    """
    by_age = sorted(alive, key=lambda r: r.born, reverse=missing > 0)
    ordered = sorted(by_age, key=lambda r: -r.size)
    if missing == 0:
        return [(rs, rs.size) for rs in ordered]
    added = 0
    sizes: Sizes = []
    for rs in ordered:
        share = _share(dep, rs, missing, added, shown_replicas)
        sizes.append((rs, rs.size + share))
        added += share
    largest, size = sizes[0]
    sizes[0] = (largest, max(size + missing - added, 0))
    return sizes


def _share(dep: Dep, rs: Rs, missing: int, added: int, shown_replicas: int) -> int:
    if missing == added:
        return 0
    fraction = _fraction(dep, rs, shown_replicas)
    return min(fraction, missing - added) if missing > 0 else max(fraction, missing - added)


def _fraction(dep: Dep, rs: Rs, shown_replicas: int) -> int:
    """How many pods `rs` gains (negative: loses) to keep its proportion of the whole."""
    if dep.replicas == 0:
        return -rs.size
    before = rs.annotated(MAX_REPLICAS) or shown_replicas
    if before == 0:
        return 0
    return _round(rs.size * (dep.replicas + dep.surge) / before) - rs.size


def _round(value: float) -> int:
    """Half away from zero."""
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)
