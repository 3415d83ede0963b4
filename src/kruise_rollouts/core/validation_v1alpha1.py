"""Whether a v1alpha1 Rollout may be stored. Rules shared with v1beta1 are in validation.py."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from msgspec.structs import replace

from kruise_rollouts.api import keys, rollouts_v1beta1
from kruise_rollouts.api.int_or_percent import IntOrPercent
from kruise_rollouts.api.rollouts_v1alpha1 import CanaryStrategy, Rollout, Step

from .validation import (
    LOCKED,
    WORKLOAD,
    Limits,
    Problem,
    Problems,
    conflict_problems,
    locked,
    order_problems,
    partition_problem,
    ref_problems,
    replicas_problem,
    threshold_problems,
    traffic_problems,
)

CANARY = "Spec.Strategy.Canary"
_WAY_OUT = (
    f"lower it, give replicas as a number of pods, set annotation {keys.ROLLING_STYLE}: canary, or give replicas"
    " without weight and matches"
)


def problems_of(
    new: Rollout, old: Rollout | None, others: Iterable[rollouts_v1beta1.Rollout], limits: Limits
) -> Problems:
    """As validation.problems_of, for the older version."""
    same_style = old is not None and _style_text(old) == _style_text(new)
    if new.metadata.deletion_timestamp is not None or (
        old is not None and old.spec == new.spec and same_style
    ):
        return ()
    ref = new.spec.object_ref.workload_ref
    found: Problems = (Problem(WORKLOAD, "is needed: the workload to release"),)
    if ref is not None:
        was = old.spec.object_ref.workload_ref if old is not None else None
        found = ref_problems(ref, limits) + conflict_problems(new.metadata.name, ref, was, others)
    if _style_text(new).lower() not in ("", "canary", "partition"):
        detail = f"annotation {keys.ROLLING_STYLE} must be canary or partition; for blue-green use v1beta1"
        found += (Problem("RollingStyle", detail, _style_text(new)),)
    found += _strategy_problems(new, limits)
    return found + (_change_problems(new, old) if old is not None else ())


def _style_text(rollout: Rollout) -> str:
    return rollout.metadata.annotations.get(keys.ROLLING_STYLE, "")


def _is_partition(rollout: Rollout) -> bool:
    """Anything but a native Deployment is partitioned, whatever the annotation says."""
    ref = rollout.spec.object_ref.workload_ref
    native = ref is not None and (ref.api_version, ref.kind) == ("apps/v1", "Deployment")
    return not native or _style_text(rollout).lower() not in ("", "canary")


def _strategy_problems(new: Rollout, limits: Limits) -> Problems:
    canary = new.spec.strategy.canary
    if canary is None:
        return (Problem(CANARY, "is needed; for blue-green use v1beta1"),)
    steps = _steps_problems(canary, _is_partition(new), limits)
    routing = traffic_problems(canary.traffic_routings, CANARY)
    return steps + threshold_problems(canary.failure_threshold, CANARY) + routing


def _steps_problems(canary: CanaryStrategy, is_partition: bool, limits: Limits) -> Problems:
    if not canary.steps:
        return (Problem(f"{CANARY}.Steps", "at least one step is needed", []),)
    for index, step in enumerate(canary.steps):
        problem = _step_problem(step, is_partition, f"{CANARY}.Steps[{index}]", limits)
        if problem is not None:
            return (problem,)
    if canary.traffic_routings:
        for before, after in pairwise(canary.steps):
            if before.weight is not None and after.weight is not None and after.weight < before.weight:
                detail = f"a step must not have less traffic than the one before ({before.weight})"
                return (Problem(f"{CANARY}.Steps.Weight", detail, after.weight),)
    return order_problems([_amount(s) for s in canary.steps], f"{CANARY}.Steps.CanaryReplicas")


def _step_problem(step: Step, is_partition: bool, path: str, limits: Limits) -> Problem | None:
    if step.replicas is not None:
        problem = replicas_problem(step.replicas, path)
        has_traffic = step.weight is not None or step.matches is not None
        if problem is None and is_partition and has_traffic:
            problem = partition_problem(step.replicas, path, limits, _WAY_OUT)
        return problem
    if step.weight is None:
        return Problem(f"{path}.steps", "weight or replicas is needed")
    if not 1 <= step.weight <= 100:
        return Problem(f"{path}.Weight", "must be from 1 to 100 (percent)", step.weight)
    # Without replicas, the weight says how many pods there are.
    problem = partition_problem(f"{step.weight}%", path, limits, _WAY_OUT) if is_partition else None
    return None if problem is None else replace(problem, value=step.weight)


def _amount(step: Step) -> IntOrPercent:
    """New pods after `step`: without replicas, as many percent as the weight."""
    return step.replicas if step.replicas is not None else f"{step.weight}%"


def _change_problems(new: Rollout, old: Rollout) -> Problems:
    if old.status.phase not in LOCKED:
        return ()
    was, now = old.spec.strategy.canary, new.spec.strategy.canary
    found: Problems = ()
    if new.spec.object_ref != old.spec.object_ref:
        found += (locked("Spec.ObjectRef", "workloadRef", old.status.phase),)
    if was is not None and now is not None and was.traffic_routings != now.traffic_routings:
        found += (locked(f"{CANARY}.TrafficRoutings", "trafficRoutings", old.status.phase),)
    if _style_text(new).lower() != _style_text(old).lower():
        found += (locked("Metadata.Annotation", f"annotation {keys.ROLLING_STYLE}", old.status.phase),)
    return found
