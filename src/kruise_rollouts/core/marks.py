"""The mark that a workload is in a release: one annotation, the same on every kind.

Admission puts it on and enforces the hold while it is there. It goes in the very write that gives the workload
back: earlier, nothing would guard the hold any more; later, admission would take the resumption for somebody
else's and hold again.
"""

from __future__ import annotations

from msgspec.structs import replace

from kruise_rollouts.api.keys import IN_PROGRESSING
from kruise_rollouts.core.workloads import Ending, Workload
from kruise_rollouts.kube.effects import Patch, Write


def give_back(workload: Workload, ending: Ending) -> tuple[Write, ...] | None:
    """Writes that let go of `workload`, its mark included; () if nothing of ours is left on it.

    None: not yet, something under way comes to rest first. Its own controller removes pods that look failed at once,
    so a workload that is resumed while pods that serve look so loses them.
    """
    state = workload.state
    if ending is Ending.RESUMED and state.hides_pods:
        return workload.stop() or None
    writes = workload.release(ending)
    if ending in (Ending.HANDED_OVER, Ending.SUCCEEDED) or not state.is_in_progress:
        return writes
    own = next((w for w in writes if isinstance(w, Patch) and w.ref == state.ref), None)
    if own is None:
        return (*writes, _unmarked(Patch(state.ref, {})))
    return tuple(_unmarked(own) if w is own else w for w in writes)


def _unmarked(patch: Patch) -> Patch:
    metadata = patch.body.get("metadata", {})
    annotations = {**metadata.get("annotations", {}), IN_PROGRESSING: None}
    return replace(patch, body={**patch.body, "metadata": {**metadata, "annotations": annotations}})


def look_again(workload: Workload) -> Patch:
    """A write that changes nothing: its answer is the workload as it is now, whatever events have yet to tell."""
    return Patch(workload.state.ref, {})
