"""Whether a Rollout may be stored, and what its author should know: rules shared by both versions, and v1beta1's.

Field paths are those of OpenKruise Rollouts, because tools match on them; messages say what to do. What it would
accept is accepted here, however useless: advice.py turns that into warnings. v1alpha1's own rules are in
validation_v1alpha1.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from kruise_rollouts.api.int_or_percent import (
    LARGEST,
    IntOrPercent,
    is_percent,
    is_readable,
    parse_percent,
    scaled,
)
from kruise_rollouts.api.keys import RolloutPhase
from kruise_rollouts.api.rollouts_v1beta1 import (
    BlueGreenStrategy,
    CanaryStrategy,
    ObjectRef,
    Rollout,
    Step,
    Style,
    TrafficRoutingRef,
    style_of,
)
from kruise_rollouts.kube.effects import Json

SUPPORTED = {
    *(("apps", kind) for kind in ("ReplicaSet", "Deployment", "StatefulSet", "DaemonSet")),
    *(("apps.kruise.io", kind) for kind in ("CloneSet", "StatefulSet", "DaemonSet")),
}
BLUE_GREEN = {("apps", "Deployment"), ("apps.kruise.io", "CloneSet")}
# While a release is in one of these, what it was begun with must stay. Disabling is ours: it too takes down what
# the workload and its routes were given.
LOCKED = {RolloutPhase.PROGRESSING, RolloutPhase.TERMINATING, RolloutPhase.DISABLING}

_TOO_LARGE = f"must be at most {LARGEST}: other clients have no room for more, and fail on every list with it"
_WAY_OUT = (
    "lower replicas, give a number of pods, set enableExtraWorkloadForCanary, or leave traffic and matches out of"
    " this step"
)
WORKLOAD = "Spec.ObjectRef.WorkloadRef"
Problems: TypeAlias = "tuple[Problem, ...]"


class Limits(Struct, frozen=True):
    """What the administrator allows."""

    partition_percent: int = 50  # most percent of pods in a partition step that has traffic, 1..100
    known_kinds_only: bool = True  # False: any kind that looks like a StatefulSet


class Problem(Struct, frozen=True):
    """Why an object is refused."""

    path: str
    detail: str
    value: Json = None
    kind: Literal["Invalid value", "Forbidden"] = "Invalid value"

    def __str__(self) -> str:
        if self.kind == "Forbidden":
            return f"{self.path}: Forbidden: {self.detail}"
        shown = msgspec.json.encode(self.value).decode()
        return f"{self.path}: Invalid value: {shown}: {self.detail}"


def problems_of(new: Rollout, old: Rollout | None, others: Iterable[Rollout], limits: Limits) -> Problems:
    """Why `new` must not be stored; () if it may.

    `old`: None on a create. `others`: the Rollouts of the namespace, v1beta1. An object that is being deleted, and
    one whose spec is unchanged, is never refused: finalizers, labels and our own annotations must always pass.
    """
    if new.metadata.deletion_timestamp is not None or (old is not None and old.spec == new.spec):
        return ()
    was = None if old is None else old.spec.workload_ref
    found = (
        ref_problems(new.spec.workload_ref, limits)
        + _strategy_problems(new, limits)
        + conflict_problems(new.metadata.name, new.spec.workload_ref, was, others)
    )
    return found + (_change_problems(new, old) if old is not None else ())


def ref_problems(ref: ObjectRef, limits: Limits) -> Problems:
    if not limits.known_kinds_only or (ref.group, ref.kind) in SUPPORTED:
        return ()
    known = ", ".join(f"{group}/{kind}" for group, kind in sorted(SUPPORTED))
    return (Problem(WORKLOAD, f"this kind cannot be released step by step; use one of {known}", _named(ref)),)


def conflict_problems(
    name: str, ref: ObjectRef, was: ObjectRef | None, others: Iterable[Rollout]
) -> Problems:
    """Two Rollouts must not own one workload, whatever version they name it by; `was`: the ref before this update."""
    if was == ref:
        return ()
    for other in others:
        their = other.spec.workload_ref
        if other.metadata.name == name or (their.group, their.kind, their.name) != (
            ref.group,
            ref.kind,
            ref.name,
        ):
            continue
        what = f"{ref.kind} {ref.name} already belongs to Rollout {other.metadata.name}"
        if other.metadata.deletion_timestamp is not None:
            return (
                Problem(
                    "Conflict Checker", f"{what}, which is being deleted; try again when it is gone", name
                ),
            )
        return (Problem("Conflict Checker", f"{what}; delete that one first, or change it", name),)
    return ()


# --- strategy ----------------------------------------------------------------------------------------------------


def _strategy_problems(new: Rollout, limits: Limits) -> Problems:
    strategy, ref = new.spec.strategy, new.spec.workload_ref
    if strategy.active is None:
        return (Problem("Spec.Strategy", "set either canary or blueGreen", {}),)
    if strategy.canary is not None and strategy.blue_green is not None:
        return (Problem("Spec.Strategy", "set canary or blueGreen, not both", ["canary", "blueGreen"]),)
    style = style_of(new.spec)
    found: Problems = ()
    if style is Style.BLUE_GREEN and limits.known_kinds_only and (ref.group, ref.kind) not in BLUE_GREEN:
        detail = "blueGreen works for apps/Deployment and apps.kruise.io/CloneSet; use canary for this kind"
        found = (Problem(WORKLOAD, detail, _named(ref)),)
    path = "Spec.Strategy.BlueGreen" if style is Style.BLUE_GREEN else "Spec.Strategy.Canary"
    steps = _steps_problems(strategy.active, style, path, limits)
    routing = traffic_problems(strategy.active.traffic_routings, path)
    return found + steps + threshold_problems(strategy.active.failure_threshold, path) + routing


def _steps_problems(
    strategy: CanaryStrategy | BlueGreenStrategy, style: Style | None, path: str, limits: Limits
) -> Problems:
    """The first step that is wrong, alone: later ones often follow from it."""
    if not strategy.steps:
        return (Problem(f"{path}.Steps", "at least one step is needed", []),)
    for index, step in enumerate(strategy.steps):
        problem = _step_problem(step, style, f"{path}.Steps[{index}]", limits)
        if problem is not None:
            return (problem,)
    amounts = [step.replicas for step in strategy.steps if step.replicas is not None]
    return order_problems(amounts, f"{path}.Steps.CanaryReplicas")


def _step_problem(step: Step, style: Style | None, path: str, limits: Limits) -> Problem | None:
    if step.replicas is None:
        return Problem(
            f"{path}.steps", "replicas is needed: how many pods of the new version there are after this step"
        )
    problem = replicas_problem(step.replicas, path)
    if problem is not None or not step.has_traffic:
        return problem
    if style is Style.PARTITION:
        problem = partition_problem(step.replicas, path, limits)
        if problem is not None:
            return problem
    if step.traffic is None:
        return None
    lowest = 0 if style is Style.BLUE_GREEN else 1
    percent = step.traffic_percent
    if percent is None or not lowest <= percent <= 100:
        return Problem(
            f"{path}.steps", f'traffic must be a percentage from "{lowest}%" to "100%"', step.traffic
        )
    return None


def replicas_problem(replicas: IntOrPercent, path: str) -> Problem | None:
    """`replicas` is a positive number, or a percentage from 1 to 100."""
    amount = scaled(replicas, 100, up=True)
    if amount is None or amount <= 0 or (isinstance(replicas, str) and amount > 100):
        detail = 'must be a positive number of pods, or a percentage from "1%" to "100%"'
        return Problem(f"{path}.Replicas", detail, replicas)
    if not is_readable(replicas):
        return Problem(f"{path}.Replicas", _TOO_LARGE, replicas)
    return None


def threshold_problems(threshold: IntOrPercent | None, path: str) -> Problems:
    """Only what other clients could not read; advice.py has the rest. `path`: of the strategy."""
    if is_readable(threshold):
        return ()
    return (Problem(f"{path}.FailureThreshold", _TOO_LARGE, threshold),)


def partition_problem(
    replicas: IntOrPercent, path: str, limits: Limits, way_out: str = _WAY_OUT
) -> Problem | None:
    """A partition replaces pods: many new ones with little traffic would leave the old ones with too much.

    `way_out`: what the person can do about it, in the words of the version that was written.
    """
    if not isinstance(replicas, str) or (parse_percent(replicas) or 0) <= limits.partition_percent:
        return None
    detail = f"a partition step with traffic may replace at most {limits.partition_percent}% of the pods; {way_out}"
    return Problem(f"{path}.steps", detail, replicas)


def order_problems(amounts: Iterable[IntOrPercent], path: str) -> Problems:
    """Neighbours of one type must not decrease; a number and a percentage cannot be compared."""
    for before, after in pairwise(amounts):
        if is_percent(before) != is_percent(after):
            continue
        if (scaled(after, 100, up=True) or 0) < (scaled(before, 100, up=True) or 0):
            return (
                Problem(path, f"a step must not have fewer new pods than the one before ({before})", after),
            )
    return ()


def traffic_problems(routings: tuple[TrafficRoutingRef, ...], path: str) -> Problems:
    """`path`: of the strategy."""
    found: list[Problem] = []
    if len(routings) > 1:
        found.append(Problem(path, "at most one entry in trafficRoutings is supported", len(routings)))
    for ref in routings:
        below = f"{path}.TrafficRouting"
        if ref.grace_seconds < 0:
            found.append(Problem(f"{below}.GracePeriodSeconds", "must not be negative", ref.grace_seconds))
        if not ref.service:
            found.append(Problem(f"{below}.Service", "name the Service of the workload", ""))
        if ref.ingress is None and ref.gateway is None and not ref.custom_network_refs:
            detail = "set one of ingress, gateway and customNetworkRefs"
            found.append(Problem(f"{below}.TrafficRoutings", detail, {"service": ref.service}))
        if ref.ingress is not None and not ref.ingress.name:
            found.append(Problem(f"{below}.Ingress", "name the Ingress", ""))
        if ref.gateway is not None and not ref.gateway.http_route_name:
            found.append(Problem(f"{below}.Gateway", "set httpRouteName", ref.gateway.http_route_name))
    return tuple(found)


# --- changes during a release ------------------------------------------------------------------------------------


def _change_problems(new: Rollout, old: Rollout) -> Problems:
    if old.status.phase not in LOCKED:
        return ()
    style, path = style_of(old.spec), "Spec.Strategy.Canary"
    if style is Style.BLUE_GREEN:
        path = "Spec.Strategy.BlueGreen"
    changed = {
        "Spec.ObjectRef": new.spec.workload_ref != old.spec.workload_ref,
        f"{path}.TrafficRoutings": new.spec.strategy.traffic_routings != old.spec.strategy.traffic_routings,
        path: style_of(new.spec) is not style or len(new.spec.strategy.steps) != len(old.spec.strategy.steps),
    }
    what = {
        "Spec.ObjectRef": "workloadRef",
        f"{path}.TrafficRoutings": "trafficRoutings",
        path: "the style and the number of steps",
    }
    return tuple(
        locked(field, what[field], old.status.phase) for field, is_changed in changed.items() if is_changed
    )


def locked(path: str, what: str, phase: str) -> Problem:
    detail = f"{what} must not change while the Rollout is {phase}; finish the release or roll back first"
    return Problem(path, detail, kind="Forbidden")


def _named(ref: ObjectRef) -> str:
    return f"{ref.api_version}/{ref.kind}"
