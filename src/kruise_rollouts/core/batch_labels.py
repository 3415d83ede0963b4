"""The labels that the pods of a batch lack, for batch.py. Which pod gets which is podlabels.py's."""

from __future__ import annotations

from kruise_rollouts.core.batch_counts import desired_now
from kruise_rollouts.core.podlabels import LabelPlan, is_no_older, labelled_pods, missing_labels
from kruise_rollouts.core.snapshot import BatchSnapshot
from kruise_rollouts.core.workloads import Workload
from kruise_rollouts.kube.effects import Write


def label_writes(seen: BatchSnapshot) -> tuple[Write, ...] | None:
    """Writes after which the pods up to the current batch are labelled; None if there are too few pods for that yet."""
    plan = seen.release.spec.release_plan
    if not plan.rollout_id or seen.workload is None:
        return ()
    if seen.pods is None:
        return None
    writes = missing_labels(seen.pods, _plan(seen, seen.workload))
    labelled = labelled_pods(seen.pods, plan.rollout_id) + len(writes)
    return writes if not seen.pods or labelled >= desired_now(seen.release, seen.workload) else None


def shows_all(seen: BatchSnapshot) -> bool:
    """Whether the pods, which may come from an old list, are as new as the workload and our own labels are."""
    if seen.workload is None or seen.pods is None:
        return True
    state = seen.workload.state
    return is_no_older(
        seen.pods, _plan(seen, seen.workload), existing=state.updated, ready=state.updated_ready
    )


def _plan(seen: BatchSnapshot, workload: Workload) -> LabelPlan:
    plan, state = seen.release.spec.release_plan, workload.state
    return LabelPlan(
        rollout_id=plan.rollout_id,
        batches=tuple(b.canary_replicas for b in plan.batches),
        replicas=state.replicas,
        current=seen.release.status.canary_status.current_batch,
        revision=state.update_revision,
        pod_template_hash=state.pod_template_hash,
        owner=state.pods_owner,
    )
