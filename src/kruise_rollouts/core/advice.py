"""What the author of a Rollout is warned of: things that are accepted and do not do what they seem to say.

Warnings only; what is refused is in validation.py. Each is one line of at most 250 characters, said only when the
spec is new or changed.
"""

from __future__ import annotations

import textwrap
from itertools import pairwise

from kruise_rollouts.api.int_or_percent import is_percent, scaled
from kruise_rollouts.api.keys import TRAFFIC_ROUTING, RolloutPhase
from kruise_rollouts.api.rollouts_v1beta1 import (
    BlueGreenStrategy,
    CanaryStrategy,
    Rollout,
    RolloutSpec,
    Style,
    style_of,
)
from kruise_rollouts.core.admission_words import LENGTH
from kruise_rollouts.core.problems import unsupported_style, unsupported_traffic
from kruise_rollouts.core.strategies import STRATEGIES

# Kinds this version moves; for the others a Rollout is stored and shown, but does nothing.
HANDLED = {("apps", "Deployment")}
# Such a Rollout is accepted all the same: what asks for it may have been written for another controller.
NOTHING_MOVES = "Until then nothing is released."


def advice_of(new: Rollout, old: Rollout | None) -> tuple[str, ...]:
    """Warnings for the person who stores `new`; `old`: None on a create."""
    if new.metadata.deletion_timestamp is not None or (old is not None and _asked(old) == _asked(new)):
        return ()
    strategy = new.spec.strategy.active
    found = [*_about_workload(new)]
    if strategy is not None:
        found += _about_steps(strategy, routed=unsupported_traffic(new) is not None)
        found += _about_fields(strategy, style_of(new.spec))
    if old is not None and old.status.phase == RolloutPhase.PROGRESSING:
        found += _about_progress(new, old)
    return tuple(textwrap.shorten(told, LENGTH, placeholder=" ...") for told in found)


def _asked(rollout: Rollout) -> tuple[RolloutSpec, str]:
    """What a person asks for: the spec, and the annotation that asks for traffic beside it."""
    return rollout.spec, rollout.metadata.annotations.get(TRAFFIC_ROUTING, "")


def _about_progress(new: Rollout, old: Rollout) -> list[str]:
    """A plan that is changed in the middle of a release."""
    sub, before, after = old.status.active, old.spec.strategy.steps, new.spec.strategy.steps
    index = 0 if sub is None else sub.current_step_index
    if not 1 <= index <= min(len(before), len(after)):
        return []
    was, now = before[index - 1].replicas, after[index - 1].replicas
    if was is None or now is None or is_percent(was) != is_percent(now):
        return []
    if (scaled(now, 100, up=True) or 0) >= (scaled(was, 100, up=True) or 0):
        return []
    return [
        f"step {index} is in progress and becomes smaller ({was} to {now}): no pod goes back to the old version,"
        " and its pause begins again"
    ]


def _about_workload(new: Rollout) -> list[str]:
    """What keeps it from releasing anything at all."""
    ref, style = new.spec.workload_ref, style_of(new.spec)
    found = []
    if not ref.name:
        found.append("workloadRef.name is empty: this Rollout has no workload")
    elif (ref.group, ref.kind) not in HANDLED:
        found.append(
            f"this controller does not release {ref.kind} ({ref.api_version}) step by step yet: it keeps being"
            " updated by its own controller. Refer to an apps/v1 Deployment, or delete this Rollout"
        )
    if style is not None and style not in STRATEGIES:
        found.append(f"{unsupported_style(new).message} {NOTHING_MOVES}")
    if (traffic := unsupported_traffic(new)) is not None:
        found.append(f"{traffic.message} {NOTHING_MOVES}")
    return found


def _about_steps(strategy: CanaryStrategy | BlueGreenStrategy, *, routed: bool) -> list[str]:
    found = []
    for number, step in enumerate(strategy.steps, 1):
        if step.pause.duration is not None and step.pause.duration < 0:
            found.append(f"step {number}: pause.duration {step.pause.duration} is negative and counts as 0")
    if isinstance(strategy, CanaryStrategy):
        found += _about_weights(strategy)
    with_traffic = [number for number, step in enumerate(strategy.steps, 1) if step.has_traffic]
    if with_traffic and not routed:
        found.append(
            f"step {with_traffic[0]} sets traffic or matches, but there are no trafficRoutings: pods are released,"
            " traffic goes to old and new pods alike"
        )
    for number, (before, after) in enumerate(pairwise(strategy.steps), 2):
        was, now = before.traffic_percent, after.traffic_percent
        if was is not None and now is not None and now < was:
            found.append(f"step {number} has less traffic ({now}%) than the step before ({was}%)")
    return found


def _about_weights(strategy: CanaryStrategy) -> list[str]:
    """v1alpha1 takes any weight beside replicas; v1beta1 would be refused at the next edit."""
    percents = ((number, step.traffic_percent) for number, step in enumerate(strategy.steps, 1))
    return [
        f"step {number}: weight {percent} is not from 1 to 100 (percent); correct it: v1beta1 refuses an edit of this"
        " Rollout until then"
        for number, percent in percents
        if percent is not None and not 1 <= percent <= 100
    ]


def _about_fields(strategy: CanaryStrategy | BlueGreenStrategy, style: Style | None) -> list[str]:
    found = []
    threshold = strategy.failure_threshold
    tolerated = 0 if threshold is None else scaled(threshold, 100, up=True)
    if tolerated is None or tolerated < 0 or (isinstance(threshold, str) and tolerated > 100):
        found.append(
            f'failureThreshold {threshold!r} should be a number of pods, or a percentage from "0%" to "100%"'
        )
    if isinstance(strategy, CanaryStrategy) and style is not Style.CANARY:
        if strategy.patch_pod_template_metadata is not None:
            found.append(
                "patchPodTemplateMetadata has no effect: only the pods of a canary Deployment get it"
            )
        if strategy.enable_extra_workload_for_canary:
            found.append(
                "enableExtraWorkloadForCanary has no effect for this kind: its pods are replaced in batches"
            )
    return found
