"""The labels that the pods of a batch lack, for batch.py. Which pod gets which is podlabels.py's."""

from __future__ import annotations

from kruise_rollouts.core.podlabels import LabelPlan, labelled_pods, missing_labels
from kruise_rollouts.core.snapshot import BatchSnapshot
from kruise_rollouts.kube.effects import Write


def label_writes(seen: BatchSnapshot) -> tuple[Write, ...] | None:
    """Writes after which the pods up to the current batch are labelled; None if there are too few pods for that yet."""
    plan = seen.release.spec.release_plan
    if not plan.rollout_id or seen.workload is None:
        return ()
    if seen.pods is None:
        return None
    state, batch = seen.workload.state, seen.release.status.canary_status.current_batch
    sizes = tuple(b.canary_replicas for b in plan.batches)
    wanted = LabelPlan(
        rollout_id=plan.rollout_id,
        batches=sizes,
        replicas=state.replicas,
        current=batch,
        revision=state.update_revision,
        pod_template_hash=state.pod_template_hash,
        owner=state.pods_owner,
    )
    writes = missing_labels(seen.pods, wanted)
    labelled = labelled_pods(seen.pods, plan.rollout_id) + len(writes)
    return writes if not seen.pods or labelled >= seen.workload.planned(sizes[batch]) else None
