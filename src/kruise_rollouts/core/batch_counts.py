"""How far a batch is, in pods, and what is said of it while it waits.

What follows from it is decided in batch.py.
"""

from __future__ import annotations

from msgspec.structs import replace

from kruise_rollouts.api.keys import POD_TEMPLATE_HASH
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, BatchStatus
from kruise_rollouts.core.plan import Batch, is_batch_ready
from kruise_rollouts.core.snapshot import BatchSnapshot
from kruise_rollouts.core.stuck import UNMADE, explain
from kruise_rollouts.core.workloads import Workload

REFRESH_SECONDS = 8  # longer than most batches take, short enough for a person who waits for a reason


def counted(status: BatchStatus, workload: Workload | None) -> BatchStatus:
    """`status` with the workload's counters, if they belong to what it is now."""
    if workload is None or not workload.state.settled:
        return status
    state = workload.state
    return replace(status, updated_replicas=state.updated, updated_ready_replicas=state.updated_ready)


def desired_now(release: BatchRelease, workload: Workload) -> int:
    """Pods of the new revision that the current batch stands for."""
    batch = release.spec.release_plan.batches[release.status.canary_status.current_batch]
    return workload.planned(batch.canary_replicas)


def is_enough(release: BatchRelease, workload: Workload) -> bool:
    """Enough pods of the new revision are there and available; labels are another matter."""
    return _is_enough(release, workload, workload.state.updated_available)


def is_still_enough(release: BatchRelease, workload: Workload) -> bool:
    """Whether a batch that was enough once still is: of its pods it is known how long they have been ready."""
    return _is_enough(release, workload, workload.state.updated_ready)


def _is_enough(release: BatchRelease, workload: Workload, good: int) -> bool:
    state, desired = workload.state, desired_now(release, workload)
    if state.replicas == 0:
        return True
    progress = Batch(desired=desired, updated=state.updated, updated_ready=good)
    if not is_batch_ready(progress, release.spec.release_plan.failure_threshold):
        return False
    # The old pods that the new ones replace are still going. Where failures are tolerated they may stay.
    return good < desired or state.total <= state.replicas


def waiting_words(seen: BatchSnapshot) -> str:
    """What the batch waits for, for people."""
    if seen.workload is None:
        return ""
    state, desired = seen.workload.state, desired_now(seen.release, seen.workload)
    words = f"{min(state.updated_ready, desired)}/{desired} new pods ready"
    if state.updated_available < min(state.updated_ready, desired):
        words += f", {state.updated_available} of them for as long as minReadySeconds asks"
    own = state.pod_template_hash
    pods = [p for p in seen.pods or () if own and p.metadata.labels.get(POD_TEMPLATE_HASH, own) == own]
    reasons = [reason for reason in (state.trouble, explain(pods)) if reason]
    if not reasons and state.updated < desired:
        reasons = [f"{desired - state.updated} {UNMADE}"]
    return "; ".join([words, *reasons])
