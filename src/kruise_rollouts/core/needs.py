"""Which objects a decision must be shown beyond those that are watched. Pure: the operator fetches.

Pods are read when a decision needs them and not watched, so the other pods of a cluster cost nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from kruise_rollouts.api.keys import BatchState, ConditionType, ReleasePhase
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease
from kruise_rollouts.core.batch_counts import REFRESH_SECONDS, is_enough, is_still_enough
from kruise_rollouts.core.workloads import Workload


def needs_pods(release: BatchRelease, workload: Workload | None, now: datetime) -> bool:
    """A batch is about to be ready and its pods get their labels, or it is late and people are told why."""
    status, plan = release.status, release.spec.release_plan
    if (
        workload is None
        or status.phase != ReleasePhase.PROGRESSING
        or release.metadata.deletion_timestamp is not None
    ):
        return False
    batch = status.canary_status
    if batch.batch_state != BatchState.VERIFYING or not 0 <= batch.current_batch < len(plan.batches):
        return False
    if not workload.state.settled:
        return False  # the batch is judged, and people are told, when its controller has caught up
    if is_enough(release, workload):
        return plan.rollout_id != ""
    if is_still_enough(release, workload):
        return False  # they are all ready, so none has a reason to tell
    condition = status.condition(ConditionType.PROGRESSING)
    since = condition.last_update_time if condition is not None else None
    return since is not None and now >= since + timedelta(seconds=REFRESH_SECONDS)
