"""What keeps a Rollout from releasing anything until a person acts, in words that say what to do.

Admission refuses most of it; objects get past it all the same (a webhook that was away, an older version, a
hand-edited plan), and then a release stands still rather than guess.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.int_or_percent import LARGEST, IntOrPercent, is_amount, is_readable
from kruise_rollouts.api.keys import ROLLING_STYLE, TRAFFIC_ROUTING
from kruise_rollouts.api.rollouts_v1beta1 import Condition, Rollout, RolloutStatus
from kruise_rollouts.core.conditions import STALLED, set_condition, without
from kruise_rollouts.core.rollout_ids import FIELD, INVALID_ID, bad_id
from kruise_rollouts.core.snapshot import RolloutSnapshot

MAX_STEPS = 50


class Problem(Struct, frozen=True):
    reason: str  # CamelCase, of the condition Stalled
    message: str


def problem_of(seen: RolloutSnapshot) -> Problem | None:
    """The first thing in the way; None if there is none. A missing workload is not among them: see rollout.py."""
    return _unsupported(seen) or _rivalry(seen) or _bad_plan(seen) or _bad_id(seen)


def _unsupported(seen: RolloutSnapshot) -> Problem | None:
    ref, strategy = seen.rollout.spec.workload_ref, seen.rollout.spec.strategy
    if not seen.supported:
        return Problem(
            "UnsupportedWorkload",
            f"spec.workloadRef names a {ref.kind} of {ref.api_version}; this controller can release an apps/v1 "
            "Deployment. Refer to one, or delete this Rollout.",
        )
    if strategy.active is None:
        return Problem("InvalidPlan", "spec.strategy has neither canary nor blueGreen; add one of them.")
    if strategy.canary is not None and strategy.blue_green is not None:
        return Problem("InvalidPlan", "spec.strategy has both canary and blueGreen; remove one of them.")
    if seen.strategy is None:
        return unsupported_style(seen.rollout)
    return unsupported_traffic(seen.rollout)


def unsupported_style(rollout: Rollout) -> Problem:
    """What the person is told of a style that strategies/ does not have."""
    is_blue_green = rollout.spec.strategy.blue_green is not None
    asked = "blueGreen" if is_blue_green else "canary with enableExtraWorkloadForCanary"
    return Problem(
        "UnsupportedStrategy",
        f"this controller cannot release in the style {asked}; use canary with "
        f"enableExtraWorkloadForCanary: false (v1alpha1: annotation {ROLLING_STYLE}: partition).",
    )


def unsupported_traffic(rollout: Rollout) -> Problem | None:
    """Traffic that is asked for in any of the three ways; None if there is none.

    Not ignored: pods would be released by a person who believes that requests reach them step by step.
    """
    strategy = rollout.spec.strategy
    where = "blueGreen" if strategy.blue_green is not None else "canary"
    named = []
    if strategy.traffic_routings:
        named.append("trafficRoutings, traffic and matches from spec.strategy")
    if strategy.active is not None and strategy.active.traffic_routing_ref:
        named.append(f"spec.strategy.{where}.trafficRoutingRef")
    if rollout.metadata.annotations.get(TRAFFIC_ROUTING):
        named.append(f"the annotation {TRAFFIC_ROUTING}")
    if not named:
        return None
    told = f"this controller does not route traffic; remove {', and '.join(named)}."
    return Problem("UnsupportedTraffic", told)


def _rivalry(seen: RolloutSnapshot) -> Problem | None:
    if seen.rival:
        ref = seen.rollout.spec.workload_ref
        return Problem(
            "RolloutConflict",
            f"Rollout {seen.rival} releases {ref.kind} {ref.name} already; delete one of the two.",
        )
    release = seen.release
    if release is not None and seen.own_release is None and release.metadata.deletion_timestamp is None:
        return Problem(
            "BatchReleaseConflict",
            f"a BatchRelease named {release.metadata.name} exists that this Rollout did not make; "
            "delete it or rename the Rollout.",
        )
    return None


def _bad_plan(seen: RolloutSnapshot) -> Problem | None:
    where = "blueGreen" if seen.rollout.spec.strategy.blue_green is not None else "canary"
    if not seen.steps:
        return Problem("InvalidPlan", f"spec.strategy.{where}.steps is empty; add at least one step.")
    if len(seen.steps) > MAX_STEPS:
        return Problem(
            "InvalidPlan",
            f"spec.strategy.{where}.steps has {len(seen.steps)} steps; keep at most {MAX_STEPS}.",
        )
    for index, step in enumerate(seen.steps):
        if not is_amount(step.replicas):
            field = f"spec.strategy.{where}.steps[{index}].replicas"
            return Problem("InvalidPlan", bad_amount(field, step.replicas))
    active = seen.rollout.spec.strategy.active
    if active is not None and not is_readable(active.failure_threshold):
        told = too_large(f"spec.strategy.{where}.failureThreshold", active.failure_threshold)
        return Problem("InvalidPlan", told)
    return None


def bad_amount(field: str, value: IntOrPercent | None) -> str:
    """What the person is told of a `value` that is no amount."""
    return f"{field} is {value!r}; give a number of pods (at most {LARGEST}) or a percentage such as 20%."


def too_large(field: str, value: IntOrPercent | None) -> str:
    """What the person is told of a number that other clients cannot read."""
    return f"{field} is {value}; give at most {LARGEST}."


def _bad_id(seen: RolloutSnapshot) -> Problem | None:
    told = "" if seen.workload is None else bad_id(seen.workload.state.rollout_id, FIELD)
    return Problem(INVALID_ID, told) if told else None


def with_stalled(status: RolloutStatus, problem: Problem | None, seen: RolloutSnapshot) -> RolloutStatus:
    """`status` with the condition Stalled for `problem`, or without one."""
    if problem is None:
        return replace(status, conditions=without(status.conditions, STALLED))
    told = Condition(type=STALLED, status="True", reason=problem.reason, message=problem.message)
    return replace(
        status, conditions=set_condition(status.conditions, told, seen.now), message=problem.message
    )
