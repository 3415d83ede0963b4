"""Arithmetic of batches: from what a plan says ("20%", 3) to whole pods.

Pure numbers; no objects and no states. A malformed value counts as nothing asked for: refusing it is admission's
work. `total` is always the replicas a workload is meant to have.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kruise_rollouts.api.int_or_percent import LARGEST, IntOrPercent, scaled


def planned_pods(batch: IntOrPercent, total: int) -> int:
    """Pods a batch stands for, rounded up, 0..total. For every kind that takes a percentage at its word."""
    return _within(scaled(batch, total, up=True) or 0, total)


def updated_limit(partition: IntOrPercent, total: int) -> int:
    """Pods of a Deployment that may be of the new revision, 0..total.

    A percentage below 100 never means every pod, however few there are: the last pod waits for its step.
    """
    limit = planned_pods(partition, total)
    if total > 1 and isinstance(partition, str) and partition != "100%":
        return min(limit, total - 1)
    return limit


def increments(batches: Sequence[IntOrPercent], total: int, current: int) -> tuple[int, ...]:
    """Pods that each batch adds to the one before; 0 after batch `current` (0-based). Negative if a plan shrinks."""
    planned = [planned_pods(batch, total) for batch in batches]
    before = [0, *planned]
    return tuple(planned[i] - before[i] if i <= current else 0 for i in range(len(planned)))


class Batch(Struct, frozen=True):
    """How far a batch is. Numbers are pods."""

    desired: int  # of the new revision when the batch is done
    updated: int
    updated_ready: int


def is_batch_ready(batch: Batch, failure_threshold: IntOrPercent | None) -> bool:
    """Whether enough pods are new and ready.

    `failure_threshold` of the new pods may be unready (None: none may), but never all of them.
    """
    tolerated = 0 if failure_threshold is None else scaled(failure_threshold, batch.updated, up=True) or 0
    if batch.updated < batch.desired or batch.updated_ready + tolerated < batch.desired:
        return False
    return batch.desired == 0 or batch.updated_ready > 0


class Slack(Struct, frozen=True):
    """What a person allows while pods are replaced. Pods."""

    surge: int  # more than wanted
    unavailable: int  # fewer than wanted, 0..total


def slack(surge: IntOrPercent | None, unavailable: IntOrPercent | None, total: int) -> Slack | None:
    """maxSurge rounded up and maxUnavailable rounded down; absent ones are 0, and both 0 means one unavailable.

    None if either is malformed, negative, or more than the API server takes.
    """
    more = 0 if surge is None else scaled(surge, total, up=True)
    fewer = 0 if unavailable is None else scaled(unavailable, total, up=False)
    if more is None or fewer is None or min(more, fewer) < 0 or max(more, fewer) > LARGEST:
        return None
    if more == 0 and fewer == 0:
        fewer = 1
    return Slack(more, min(fewer, total))


def _within(pods: int, total: int) -> int:
    return max(0, min(pods, total))
