"""A revision that a person rolled back is remembered, and held before step 1 if it is applied again.

A tool that applies what is in git does not know of the rollback; without this it would start the release that was
just stopped. The memory is one annotation on the Rollout. The hold is "step 0, StepPaused": approving it, or
jumping to a step, is what lets the revision go, and forgets.
"""

from __future__ import annotations

from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.kube.effects import Patch, Write

REJECTED = "rollouts.kruise.io/rejected-revision"  # on a Rollout: the revision last rolled back


def remember(seen: RolloutSnapshot) -> tuple[Write, ...]:
    """Writes that note the revision being released as rejected."""
    revision = seen.sub.updated_revision
    if not revision or revision == _rejected(seen):
        return ()
    return (Patch(seen.ref, {"metadata": {"annotations": {REJECTED: revision}}}),)


def forget(seen: RolloutSnapshot) -> tuple[Write, ...]:
    """Writes that drop the memory."""
    return (Patch(seen.ref, {"metadata": {"annotations": {REJECTED: None}}}),) if _rejected(seen) else ()


def is_rejected(seen: RolloutSnapshot) -> bool:
    """The workload's revision is the one last rolled back."""
    revision = seen.workload.state.update_revision if seen.workload is not None else ""
    return revision != "" and revision == _rejected(seen)


def held_message(seen: RolloutSnapshot) -> str:
    meta = seen.rollout.metadata
    return (
        f"Rollout is held at step 0: revision {seen.sub.updated_revision} was rolled back before. Apply another "
        f"revision, or release it with: kubectl kruise rollout approve rollout/{meta.name} -n {meta.namespace}"
    )


def _rejected(seen: RolloutSnapshot) -> str:
    return seen.rollout.metadata.annotations.get(REJECTED, "")
