"""Partition: pods are replaced in place, batch by batch."""

from __future__ import annotations

from msgspec.structs import replace

from kruise_rollouts.api.rollouts_v1beta1 import CanaryStatus, RolloutStatus, Step, Style
from kruise_rollouts.core.snapshot import HAND_BACK, Reason, RolloutSnapshot, Strategy, SubStatus, Task


def _leaves_no_stable_pod(seen: RolloutSnapshot) -> bool:
    """No pod of the stable revision is left after this step, so there is nothing to split traffic between."""
    workload = seen.workload
    return workload is not None and workload.planned(seen.step.replicas or 0) >= workload.state.replicas


def _before_upgrade(seen: RolloutSnapshot) -> tuple[Task, ...]:
    if not seen.step.has_traffic:
        return ()
    # Unpinned before the old pods go, or the stable Service would select nothing.
    if _leaves_no_stable_pod(seen):
        return (Task.RESTORE_STABLE_SERVICE,)
    # Pinned before the first new pod is ready, or it would take its share of everybody's requests at once.
    return (Task.PIN_STABLE_SERVICE,) if seen.sub.current_step_index == 1 else ()


def _passes_last(step: Step) -> bool:
    # The string only: `replicas: 100` asks for approval. Clients rely on the difference.
    return step.replicas == "100%"


def _with_sub(status: RolloutStatus, sub: SubStatus | None) -> RolloutStatus:
    if sub is not None and not isinstance(sub, CanaryStatus):
        raise TypeError(f"partition style keeps a CanaryStatus, not {type(sub).__name__}")
    return replace(status, canary_status=sub, blue_green_status=None)


def _alone(status: RolloutStatus) -> RolloutStatus:
    return status if status.blue_green_status is None else replace(status, blue_green_status=None)


STRATEGY = Strategy(
    style=Style.PARTITION,
    before_upgrade=_before_upgrade,
    skips_traffic=_leaves_no_stable_pod,
    passes_last=_passes_last,
    with_sub=_with_sub,
    alone=_alone,
    refuses_new_revision="",
    finalising={
        Reason.SUCCESS: HAND_BACK,
        # Traffic leaves the new pods before they go; the stable Service selects everything only after that.
        Reason.ROLLBACK: (
            Task.ROUTE_TO_STABLE,
            Task.RESUME_WORKLOAD,
            Task.RELEASE_CONTROL,
            Task.RESTORE_STABLE_SERVICE,
            Task.REMOVE_CANARY_SERVICE,
        ),
        # The stable Service stays pinned: no request reaches pods of either new revision.
        Reason.CONTINUOUS: (Task.ROUTE_TO_STABLE, Task.RELEASE_CONTROL, Task.REMOVE_CANARY_SERVICE),
        Reason.DISABLED: HAND_BACK,
        Reason.DELETED: HAND_BACK,
    },
)
