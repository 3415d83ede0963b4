"""The controller of Rollouts: gathers what core/rollout.py decides on, and stores what it decides."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.keys import ROLLOUT_FINALIZER, RolloutPhase
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout, RolloutStatus, style_of
from kruise_rollouts.core.rollout import decide_rollout
from kruise_rollouts.core.snapshot import Draft, Gates, RolloutSnapshot
from kruise_rollouts.core.strategies import STRATEGIES
from kruise_rollouts.core.workloads import Workload
from kruise_rollouts.kube.effects import Decision, Patch
from kruise_rollouts.operator.drafts import draft_of, status_write
from kruise_rollouts.operator.workloads import find_release, find_workload
from kruise_rollouts.operator.world import BY_WORKLOAD, World
from kruise_rollouts.runtime.controller import Key

# Those that people write; and what another manager, before us or beside us, may have gone on with.
GUARDED = frozenset({"currentStepState", "nextStepIndex", "phase", "conditions"})
# A sub-status that appears or goes as a whole takes what a person wrote in it along.
SUB_STATUSES = frozenset({"canaryStatus", "blueGreenStatus"})


class SeenRollout(Struct, frozen=True):
    draft: Draft[RolloutStatus]
    snapshot: RolloutSnapshot


class RolloutController:
    """Keys are (namespace, name) of a Rollout. See runtime.controller.Controller."""

    name = "rollout"

    def __init__(self, gates: Gates | None = None) -> None:
        self._gates = gates or Gates()
        self._read_for: dict[
            Key, str
        ] = {}  # the revision for which a Rollout was read live, until its release begins

    async def observe(
        self, key: Key, world: World, now: datetime, pending: Draft[RolloutStatus] | None
    ) -> SeenRollout | None:
        rollout = world.rollouts.get(*key)
        if rollout is None or _is_let_go(rollout):
            self._read_for.pop(key, None)
            return None
        found = find_workload(world, key[0], rollout.spec.workload_ref)
        revision = _to_begin(rollout.status if pending is None else pending.status, found.workload)
        if not revision:
            self._read_for.pop(key, None)
        elif self._read_for.get(key) != revision:
            # Both may have come in one `kubectl apply`, and the watch of Rollouts be behind: a plan that is no longer
            # so could let all pods go.
            await world.refresh_rollout(*key)
            self._read_for[key] = revision
            rollout = world.rollouts.get(*key) or rollout
            found = find_workload(world, key[0], rollout.spec.workload_ref)
        draft = draft_of(pending, rollout.status, rollout.metadata.resource_version)
        style = style_of(rollout.spec)
        release = world.batch_releases.get(*key)
        snapshot = RolloutSnapshot(
            now=now,
            rollout=replace(rollout, status=draft.status),
            strategy=STRATEGIES.get(style) if style is not None else None,
            workload=found.workload,
            supported=found.supported,
            release=release,
            rival=_rival(rollout, world),
            is_orphaned=_is_orphaned(found.workload, release, key[0], world),
            gates=self._gates,
        )
        return SeenRollout(draft, snapshot)

    def decide(self, seen: SeenRollout) -> Decision[Draft[RolloutStatus]]:
        out = decide_rollout(seen.snapshot)
        return Decision(replace(seen.draft, status=out.status), out.writes, out.wake_at, out.notes)

    def persist(self, seen: SeenRollout, status: Draft[RolloutStatus]) -> Patch | None:
        return status_write(seen.snapshot.ref, status, _guarded(status))


def _guarded(draft: Draft[RolloutStatus]) -> frozenset[str]:
    replaced = (draft.stored.active is None) != (draft.status.active is None)
    return GUARDED | SUB_STATUSES if replaced else GUARDED


def _is_let_go(rollout: Rollout) -> bool:
    """Being deleted, and nothing of ours keeps it any more."""
    meta = rollout.metadata
    return meta.deletion_timestamp is not None and ROLLOUT_FINALIZER not in meta.finalizers


def _to_begin(status: RolloutStatus, workload: Workload | None) -> str:
    """The revision with which the workload is held, while no step has been decided for it; "" otherwise."""
    if workload is None or not workload.state.is_in_progress:
        return ""
    revision = workload.state.update_revision
    is_begun = status.active is not None and status.active.updated_revision == revision
    return "" if is_begun else revision


def _is_orphaned(workload: Workload | None, release: BatchRelease | None, ns: str, world: World) -> bool:
    claimed_by = "" if workload is None else workload.state.claimed_by
    if claimed_by == "" or (release is not None and release.metadata.uid == claimed_by):
        return False
    return find_release(world, ns, claimed_by) is None


def _rival(rollout: Rollout, world: World) -> str:
    """Name of an older Rollout that refers to the same workload; "" if this one is the first."""
    ref = rollout.spec.workload_ref
    key = (rollout.metadata.namespace, ref.group, ref.kind, ref.name)
    others = [
        r for r in world.rollouts.by(BY_WORKLOAD, key) if _is_active(r) and r.seniority < rollout.seniority
    ]
    return min(others, key=lambda r: r.seniority).metadata.name if others else ""


def _is_active(rollout: Rollout) -> bool:
    return rollout.metadata.deletion_timestamp is None and rollout.status.phase != RolloutPhase.DISABLED
