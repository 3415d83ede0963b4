"""The controller of BatchReleases: gathers what core/batch.py decides on, and stores what it decides."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.keys import BATCH_RELEASE_FINALIZER, RolloutPhase
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, BatchReleaseStatus, release_style
from kruise_rollouts.core.batch import decide_batch
from kruise_rollouts.core.batch_labels import shows_all
from kruise_rollouts.core.needs import needs_pods
from kruise_rollouts.core.snapshot import BatchSnapshot, Draft, Gates
from kruise_rollouts.core.strategies import STRATEGIES
from kruise_rollouts.core.workloads import Workload
from kruise_rollouts.kube.effects import Decision, Patch
from kruise_rollouts.operator.drafts import draft_of, status_write
from kruise_rollouts.operator.workloads import find_release, find_workload, pods_of
from kruise_rollouts.operator.world import World
from kruise_rollouts.runtime.controller import Key

# Nobody else writes this status; a decision made on a version that is gone is still not to be stored.
GUARDED = frozenset({"phase", "batchState", "currentBatch"})
REQUIRED = {"canaryStatus": "currentBatch"}


class SeenBatch(Struct, frozen=True):
    draft: Draft[BatchReleaseStatus]
    snapshot: BatchSnapshot


class BatchController:
    """Keys are (namespace, name) of a BatchRelease. See runtime.controller.Controller."""

    name = "batchrelease"

    def __init__(self, gates: Gates | None = None) -> None:
        self._gates = gates or Gates()

    async def observe(
        self, key: Key, world: World, now: datetime, pending: Draft[BatchReleaseStatus] | None
    ) -> SeenBatch | None:
        release = world.batch_releases.get(*key)
        if release is None or _is_let_go(release):
            return None
        draft = draft_of(pending, release.status, release.metadata.resource_version)
        release = replace(release, status=draft.status)
        found = find_workload(world, key[0], release.spec.workload_ref)
        wanted = needs_pods(release, found.workload, now)
        snapshot = BatchSnapshot(
            now=now,
            release=release,
            workload=found.workload,
            supported=found.supported and release_style(release.spec.release_plan) in STRATEGIES,
            owner_goes_on=_owner_goes_on(release, world),
            rival=_rival(release, found.workload, world),
            gates=self._gates,
        )
        if wanted:
            snapshot = replace(snapshot, pods=await pods_of(world, key[0], found, cached=True))
            if not shows_all(snapshot):
                snapshot = replace(snapshot, pods=await pods_of(world, key[0], found))
        return SeenBatch(draft, snapshot)

    def decide(self, seen: SeenBatch) -> Decision[Draft[BatchReleaseStatus]]:
        out = decide_batch(seen.snapshot)
        return Decision(replace(seen.draft, status=out.status), out.writes, out.wake_at, out.notes)

    def persist(self, seen: SeenBatch, status: Draft[BatchReleaseStatus]) -> Patch | None:
        return status_write(seen.snapshot.ref, status, GUARDED, REQUIRED)


def _is_let_go(release: BatchRelease) -> bool:
    """Being deleted, and nothing of ours keeps it any more."""
    meta = release.metadata
    return meta.deletion_timestamp is not None and BATCH_RELEASE_FINALIZER not in meta.finalizers


def _owner_goes_on(release: BatchRelease, world: World) -> bool:
    """A BatchRelease without an owner is a person's, who goes on."""
    owner = release.metadata.controller
    if owner is None:
        return True
    rollout = world.rollouts.get(release.metadata.namespace, owner.name)
    if (
        rollout is None
        or rollout.metadata.uid != owner.uid
        or rollout.metadata.deletion_timestamp is not None
    ):
        return False
    return not rollout.spec.disabled and rollout.status.phase != RolloutPhase.DISABLING


def _rival(release: BatchRelease, workload: Workload | None, world: World) -> str:
    """Name of another living BatchRelease that has claimed the workload; "" if there is none."""
    claimed_by = workload.state.claimed_by if workload is not None else ""
    if claimed_by in ("", release.metadata.uid):
        return ""
    other = find_release(world, release.metadata.namespace, claimed_by)
    return "" if other is None else other.metadata.name
