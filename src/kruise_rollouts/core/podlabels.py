"""Which pods belong to which batch: the labels that a release leaves on pods of the new revision.

Pods that carry this release's labels keep them; each batch is filled up to its size from the rest, the last batch
first. Labels are never taken off. Listing pods is the operator's.
"""

from __future__ import annotations

from msgspec import Struct

from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.int_or_percent import IntOrPercent
from kruise_rollouts.api.keys import CONTROLLER_REVISION_HASH, POD_TEMPLATE_HASH, ROLLOUT_BATCH_ID, ROLLOUT_ID
from kruise_rollouts.core.plan import increments, planned_pods
from kruise_rollouts.kube.effects import Patch, Write
from kruise_rollouts.kube.objects import POD


class LabelPlan(Struct, frozen=True):
    """What the labels should say."""

    rollout_id: str  # "" where no labels are wanted
    batches: tuple[IntOrPercent, ...]
    replicas: int  # wanted of the workload
    current: int  # the batch that the release is in, 0-based
    revision: str  # of the new pods; given to those without a controller-revision-hash of their own
    pod_template_hash: str = ""  # of the new pods; "" for kinds that go by controller-revision-hash
    owner: str = ""  # uid of what controls the new pods; "" any: nothing else has such pods


def missing_labels(pods: tuple[Pod, ...], plan: LabelPlan) -> tuple[Write, ...]:
    """One patch for each pod that is to be given a batch; () when every batch has its pods, or none are left."""
    wanted = list(increments(plan.batches, plan.replicas, plan.current))
    free: list[Pod] = []
    for pod in new_pods(pods, plan):
        batch = _batch_of(pod, plan)
        if batch is None:
            free.append(pod)
        else:
            wanted[batch] -= 1
    writes: list[Write] = []
    for batch in reversed(range(len(wanted))):
        while wanted[batch] > 0 and free:
            writes.append(_labelled(free.pop(), batch, plan))
            wanted[batch] -= 1
    return tuple(writes)


def labelled_pods(pods: tuple[Pod, ...], rollout_id: str) -> int:
    """Pods that carry the label of this release and are not on their way out."""
    return sum(p.metadata.labels.get(ROLLOUT_ID) == rollout_id for p in pods if not p.is_terminating)


def new_pods(pods: tuple[Pod, ...], plan: LabelPlan) -> tuple[Pod, ...]:
    """Pods of the new revision that are not on their way out."""
    return tuple(p for p in pods if not p.is_terminating and _is_owned(p, plan) and _is_new(p, plan))


def is_no_older(pods: tuple[Pod, ...], plan: LabelPlan, *, existing: int, ready: int) -> bool:
    """Whether a list has all new pods that their owner counts, and the labels of the batches before this one.

    A pod whose label an old list lacks would be given that of another batch.
    """
    found = new_pods(pods, plan)
    if len(found) < existing or sum(p.is_ready for p in found) < ready:
        return False
    before = planned_pods(plan.batches[plan.current - 1], plan.replicas) if plan.current > 0 else 0
    return not plan.rollout_id or labelled_pods(found, plan.rollout_id) >= before


def is_consistent(labels: dict[str, str], revision: str) -> bool:
    """Whether pods with `labels` are of `revision`, which may be a full name of which a label holds the end."""
    found = (labels.get(key, "") for key in (POD_TEMPLATE_HASH, CONTROLLER_REVISION_HASH))
    return any(value != "" and revision.endswith(value) for value in found)


def _is_new(pod: Pod, plan: LabelPlan) -> bool:
    labels = pod.metadata.labels
    if plan.pod_template_hash:
        return labels.get(POD_TEMPLATE_HASH) == plan.pod_template_hash
    return is_consistent(labels, plan.revision)


def _is_owned(pod: Pod, plan: LabelPlan) -> bool:
    owner = pod.metadata.controller
    return not plan.owner or (owner is not None and owner.uid == plan.owner)


def _batch_of(pod: Pod, plan: LabelPlan) -> int | None:
    """The batch (0-based) that this release put the pod in; None if it did not."""
    labels = pod.metadata.labels
    number = labels.get(ROLLOUT_BATCH_ID, "")
    if labels.get(ROLLOUT_ID) != plan.rollout_id or not (number.isascii() and number.isdecimal()):
        return None
    return int(number) - 1 if 1 <= int(number) <= len(plan.batches) else None


def _labelled(pod: Pod, batch: int, plan: LabelPlan) -> Patch:
    labels = {ROLLOUT_ID: plan.rollout_id, ROLLOUT_BATCH_ID: str(batch + 1)}
    if not pod.metadata.labels.get(CONTROLLER_REVISION_HASH):
        labels[CONTROLLER_REVISION_HASH] = plan.revision
    ref = POD.ref(pod.metadata.namespace, pod.metadata.name)
    return Patch(ref, {"metadata": {"labels": labels}}, apart=True)
