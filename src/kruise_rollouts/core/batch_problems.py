"""What keeps a BatchRelease from moving anything until a person acts, in words that say what to do.

No admission looks at BatchReleases: whatever the schema lets through comes here.
"""

from __future__ import annotations

from kruise_rollouts.api.int_or_percent import is_amount, is_readable
from kruise_rollouts.api.keys import EventReason
from kruise_rollouts.api.rollouts_v1beta1 import ReleasePlan, Style, release_style
from kruise_rollouts.core.advice import HANDLED
from kruise_rollouts.core.problems import bad_amount, too_large
from kruise_rollouts.core.rollout_ids import bad_id
from kruise_rollouts.core.snapshot import BatchSnapshot
from kruise_rollouts.core.strategies import STRATEGIES


def problem_of(seen: BatchSnapshot) -> tuple[str, str] | None:
    """Reason and message of the first thing in the way; None if there is none."""
    ref, plan = seen.release.spec.workload_ref, seen.release.spec.release_plan
    if not ref.kind:
        return EventReason.UNSUPPORTED_WORKLOAD, "spec.workloadRef is needed; name an apps/v1 Deployment."
    if (ref.group, ref.kind) not in HANDLED:
        told = f"a {ref.kind} of {ref.api_version} cannot be released; refer to an apps/v1 Deployment."
        return EventReason.UNSUPPORTED_WORKLOAD, told
    if (problem := _bad_style(plan)) is not None:
        return problem
    if not ref.name:
        return "WorkloadNotFound", f"spec.workloadRef.name is empty; name the {ref.kind} to release."
    if seen.workload is None:
        return "WorkloadNotFound", f"there is no {ref.kind} {ref.name} in this namespace; create it."
    if seen.rival:
        return (
            "WorkloadClaimed",
            f"BatchRelease {seen.rival} moves {ref.kind} {ref.name}; delete one of the two.",
        )
    told = _bad_plan(plan)
    return ("InvalidPlan", told) if told else None


def _bad_style(plan: ReleasePlan) -> tuple[str, str] | None:
    style = release_style(plan)
    if style is None:
        known = f"{', '.join(tuple(Style)[:-1])} and {tuple(Style)[-1]}"
        told = f'spec.releasePlan.rollingStyle is "{plan.rolling_style}"; the styles are {known}'
        return "InvalidPlan", f"{told}. Set rollingStyle: {_working()}."
    if style in STRATEGIES:
        return None
    return (
        "UnsupportedStrategy",
        f"this controller cannot release in the style {style}; set rollingStyle: {_working()}.",
    )


def _working() -> str:
    return " or ".join(STRATEGIES)


def _bad_plan(plan: ReleasePlan) -> str:
    """What is wrong with the numbers and names of `plan`; "" if nothing is."""
    if not plan.batches:
        return "spec.releasePlan.batches is empty; add at least one batch."
    for index, batch in enumerate(plan.batches):
        if not is_amount(batch.canary_replicas):
            return bad_amount(f"spec.releasePlan.batches[{index}].canaryReplicas", batch.canary_replicas)
    if plan.batch_partition is not None and plan.batch_partition < 0:
        return f"spec.releasePlan.batchPartition is {plan.batch_partition}; the first batch is 0."
    if not is_readable(plan.failure_threshold):
        return too_large("spec.releasePlan.failureThreshold", plan.failure_threshold)
    return bad_id(plan.rollout_id, "spec.releasePlan.rolloutID")
