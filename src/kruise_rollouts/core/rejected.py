"""Revisions that a person rolled back are remembered, and held before step 1 if they are applied again.

A tool that applies what is in git does not know of the rollback; without this it would start the release that was
just stopped. The memory is one annotation on the Rollout. The hold is "step 0, StepPaused": approving it, or
jumping to a step, is what lets the revision go, and forgets.
"""

from __future__ import annotations

from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.kube.effects import Patch, Write

REJECTED = "rollouts.kruise.io/rejected-revision"  # on a Rollout: revisions rolled back, the last one first
REMEMBERED = 10  # of them


def remember(seen: RolloutSnapshot) -> tuple[Write, ...]:
    """Writes that note the revision being released as rejected."""
    revision, known = seen.sub.updated_revision, rejected_by(seen.rollout)
    if not revision or known[:1] == [revision]:
        return ()
    return _note(seen, [revision, *(r for r in known if r != revision)][:REMEMBERED])


def forget(seen: RolloutSnapshot) -> tuple[Write, ...]:
    """Writes that drop the memory of the workload's revision."""
    if not is_rejected(seen):
        return ()
    assert seen.workload is not None
    return _note(seen, [r for r in rejected_by(seen.rollout) if r != seen.workload.state.update_revision])


def is_rejected(seen: RolloutSnapshot) -> bool:
    """The workload's revision was rolled back before."""
    return seen.workload is not None and seen.workload.state.update_revision in rejected_by(seen.rollout)


def held_message(seen: RolloutSnapshot) -> str:
    meta = seen.rollout.metadata
    return (
        f"Rollout is held at step 0: revision {seen.sub.updated_revision} was rolled back before. Apply another "
        f"revision, or release it with: kubectl kruise rollout approve rollout/{meta.name} -n {meta.namespace}"
    )


def rejected_by(rollout: Rollout) -> list[str]:
    """Hashes of the templates that were rolled back, the last one first."""
    return [r for r in rollout.metadata.annotations.get(REJECTED, "").split(",") if r]


def _note(seen: RolloutSnapshot, revisions: list[str]) -> tuple[Write, ...]:
    noted = ",".join(revisions) or None
    return (Patch(seen.ref, {"metadata": {"annotations": {REJECTED: noted}}}),)
