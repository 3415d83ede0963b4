"""PodDisruptionBudget: how many pods may be evicted now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import Decision, JsonObject, Patch, Write
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.selectors import matches, of_object

from . import conditions, facts
from .pods import Pod
from .world import World

BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
EVICTION_SECONDS = 120  # an evicted pod that is still there after this counts as healthy again


class BudgetSeen(Struct, frozen=True):
    budget: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    pods: tuple[Pod, ...]  # that it selects
    scale: int  # wanted pods of all controllers of these pods
    now: datetime


class Disruptions:
    name = "disruption-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> BudgetSeen | None:
        found = world.get(BUDGET, *key)
        if found is None:
            return None
        selector = of_object(facts.spec(found).get("selector"))
        pods = tuple(p for p in world.pods_in(key[0]) if selector is not None and matches(selector, p.labels))
        return BudgetSeen(
            budget=found,
            status=facts.status(found) if pending is None else pending,
            pods=pods,
            scale=_scale(world, {p.controller for p in pods if p.controller}),
            now=now,
        )

    def decide(self, seen: BudgetSeen) -> Decision[JsonObject]:
        return decide_budget(seen)

    def persist(self, seen: BudgetSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.budget), status)
        return Patch(facts.ref_of(BUDGET, seen.budget), {"status": patch}, "status") if patch else None


def _scale(world: World, uids: set[str]) -> int:
    """Sum of spec.replicas of these controllers; a ReplicaSet counts as its Deployment."""
    tops: dict[str, int] = {}
    for uid in uids:
        obj = world.by_uid(uid)
        above = world.by_uid(facts.controller_uid(obj)) if obj is not None else None
        chosen = above if above is not None and "replicas" in facts.spec(above) else obj
        if chosen is not None:
            tops[facts.uid(chosen)] = facts.int_of(facts.spec(chosen), "replicas", 1)
    return sum(tops.values())


def decide_budget(seen: BudgetSeen) -> Decision[JsonObject]:
    """Counts healthy pods and what may still be disrupted."""
    expected, desired = _expected(seen)
    disrupted, wake_at = _disrupted(seen)
    healthy = sum(p.ready and not p.deleting and p.name not in disrupted for p in seen.pods)
    allowed = max(healthy - desired, 0) if expected > 0 else 0
    generation = facts.int_of(facts.meta(seen.budget), "generation")
    found = seen.status.get("conditions") or []
    new: JsonObject = {
        "observedGeneration": generation,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "conditions": with_verdict(found, allowed, generation, seen.now),
    }
    if disrupted:
        new["disruptedPods"] = disrupted
    return Decision(new, wake_at=wake_at)


def with_verdict(found: list[JsonObject], allowed: int, generation: int, now: datetime) -> list[JsonObject]:
    """Conditions of a budget that allows so many disruptions."""
    old = conditions.find(found, "DisruptionAllowed")
    status, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    same = old is not None and old.get("status") == status
    condition = {
        "type": "DisruptionAllowed",
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if same and old else facts.stamp(now),
        "reason": reason,
        "message": "",
    }
    return [*conditions.without(found, "DisruptionAllowed"), condition]


def _expected(seen: BudgetSeen) -> tuple[int, int]:
    """(pods there should be, pods that have to be healthy)"""
    spec = facts.spec(seen.budget)
    if spec.get("maxUnavailable") is not None:
        tolerated = facts.scaled(spec["maxUnavailable"], seen.scale, up=True)
        return seen.scale, max(seen.scale - tolerated, 0)
    least = spec.get("minAvailable")
    if isinstance(least, str):
        return seen.scale, facts.scaled(least, seen.scale, up=True)
    return len(seen.pods), int(least or 0)


def _disrupted(seen: BudgetSeen) -> tuple[dict[str, str], datetime | None]:
    """Pods whose eviction was granted but is not done yet, and when the first of them is given up."""
    present = {p.name for p in seen.pods if not p.deleting}
    kept: dict[str, str] = {}
    dues = []
    for name, at in (seen.status.get("disruptedPods") or {}).items():
        due = (facts.time_at(at) or seen.now) + timedelta(seconds=EVICTION_SECONDS)
        if name in present and due > seen.now:
            kept[name] = at
            dues.append(due)
    return kept, min(dues, default=None)


def budgets_of(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """Budgets that select the pod (as it was or is)."""
    obj = new if new is not None else old
    if obj is None:
        return
    for budget in world.list(BUDGET, facts.ns(obj)):
        selector = of_object(facts.spec(budget).get("selector"))
        if selector is not None and any(
            o is not None and matches(selector, facts.labels_of(o)) for o in (old, new)
        ):
            yield (facts.ns(budget), facts.name(budget))


def budgets_in(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """All budgets of the namespace, when a workload has been resized."""
    obj = new if new is not None else old
    if obj is None:
        return
    sizes = [facts.spec(o).get("replicas") if o is not None else None for o in (old, new)]
    if sizes[0] != sizes[1]:
        for budget in world.list(BUDGET, facts.ns(obj)):
            yield (facts.ns(budget), facts.name(budget))
