"""A Deployment whose pods are replaced in place, batch by batch.

A release only writes down what it wants: annotations, labels and, to begin and to end, the spec fields that
settings.py knows. Moving the pods is deployment_engine.py's.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.annotations import (
    InProgressing,
    OriginalStrategy,
    PartitionStrategy,
    encode,
    parse_control_info,
    parse_in_progressing,
)
from kruise_rollouts.api.apps import Deployment, ReplicaSet, RollingUpdate
from kruise_rollouts.api.int_or_percent import IntOrPercent
from kruise_rollouts.api.keys import (
    ADVANCED_DEPLOYMENT,
    CONTROL_INFO,
    DEPLOYMENT_EXTRA_STATUS,
    DEPLOYMENT_STRATEGY,
    IN_PROGRESSING,
    MAX_READY_SECONDS,
    STABLE_REVISION,
    WORKLOAD_TYPE,
    WorkloadType,
)
from kruise_rollouts.core.deployment_engine import decide
from kruise_rollouts.core.deployment_view import (
    DeploymentSnapshot,
    available_pods,
    awaits_recount,
    moves_pods,
    stored_status,
    strategy_of,
)
from kruise_rollouts.core.plan import updated_limit
from kruise_rollouts.core.revision import Revisions, hash_label, revisions_of, template_hash
from kruise_rollouts.core.rollout_ids import id_of
from kruise_rollouts.core.settings import (
    RECREATE,
    is_recreate,
    original_of,
    own_rolling_update,
    restored_spec,
)
from kruise_rollouts.core.workloads import Ending, WorkloadState
from kruise_rollouts.kube.effects import JsonObject, Patch, Write
from kruise_rollouts.kube.objects import DEPLOYMENT, REPLICA_SET, OwnerReference

_NO_TIME = datetime.min.replace(tzinfo=UTC)  # where no pods are looked at, no time is either
_OURS = (CONTROL_INFO, DEPLOYMENT_STRATEGY, DEPLOYMENT_EXTRA_STATUS)


class PartitionedDeployment(Struct, frozen=True):
    """Implements Workload. `replica_sets` may include those of other Deployments."""

    deployment: Deployment
    replica_sets: tuple[ReplicaSet, ...]

    @property
    def state(self) -> WorkloadState:
        deployment, status = self.deployment, self.deployment.status
        meta, revisions, total = deployment.metadata, self._revisions, deployment.replicas
        new = revisions.new
        ready = 0 if new is None else new.status.ready_replicas
        # The controller of a paused Deployment does not pass on what its ReplicaSets complain about.
        conditions = (*(() if new is None else new.status.conditions), *status.conditions)
        failures = (c.message for c in conditions if (c.type, c.status) == ("ReplicaFailure", "True"))
        settled = status.observed_generation >= meta.generation
        owner = parse_control_info(meta.annotations.get(CONTROL_INFO))
        return WorkloadState(
            ref=DEPLOYMENT.ref(meta.namespace, meta.name),
            uid=meta.uid,
            generation=meta.generation,
            settled=settled,
            replicas=total,
            total=status.replicas,
            ready=status.ready_replicas,
            updated=0 if new is None else new.status.replicas,
            updated_ready=ready,
            updated_available=self._available(new),
            stable_revision=self._stable_revision(revisions),
            update_revision=template_hash(deployment.spec.template),
            pod_template_hash="" if new is None else hash_label(new),
            trouble=next(failures, ""),
            pods_owner="" if new is None else new.metadata.uid,
            is_rollback=new is not None and hash_label(new) == meta.labels.get(STABLE_REVISION),
            is_in_progress=parse_in_progressing(meta.annotations.get(IN_PROGRESSING)) is not None,
            is_held=deployment.spec.paused or self._is_bound,
            is_complete=settled
            and status.replicas == status.updated_replicas == ready == status.available_replicas == total,
            claimed_by="" if owner is None else owner.uid,
            rollout_id=id_of(meta),
            hides_pods=self._hides_pods(revisions),
        )

    def adopt(self) -> tuple[Write, ...]:
        body = _Body()
        if not self.deployment.metadata.labels.get(WORKLOAD_TYPE):
            body.labels[WORKLOAD_TYPE] = WorkloadType.DEPLOYMENT
        return self._patch(body)

    def hold(self, rollout: str, stable: str = "") -> tuple[Write, ...]:
        """Marks the release; pauses it too, unless the engine already decides when pods move.

        Refused if decided on an old template: another revision would be noted as the stable one.
        """
        meta, body = self.deployment.metadata, _Body()
        if parse_in_progressing(meta.annotations.get(IN_PROGRESSING)) is None:
            body.annotations[IN_PROGRESSING] = encode(InProgressing(rollout))
        if STABLE_REVISION not in meta.labels:
            old = self._revisions.old
            known = (r for r in old if stable in (hash_label(r), template_hash(r.spec.template)))
            noted = next(known, self._revisions.stable)
            body.labels |= {} if noted is None else {STABLE_REVISION: hash_label(noted)}
        if DEPLOYMENT_STRATEGY not in meta.annotations and not self.deployment.spec.paused:
            body.spec["paused"] = True
        return self._patch(body, guarded=True)

    def planned(self, batch: IntOrPercent) -> int:
        return updated_limit(batch, self.deployment.replicas)

    def claim(self, owner: OwnerReference, batch: IntOrPercent) -> tuple[Write, ...]:
        if self.state.claimed_by == owner.uid and self._strategy is not None:
            return ()
        deployment, body = self.deployment, _Body()
        status = stored_status(deployment)
        original = original_of(deployment, status.original)
        if status.original is None and is_recreate(deployment) and self._strategy is None:
            # Seen before anything of ours is on it: Recreate is the person's own, not the mark of a held release.
            original = replace(original, type=RECREATE)
        body.annotations |= {
            CONTROL_INFO: msgspec.json.encode(owner).decode(),
            DEPLOYMENT_STRATEGY: encode(
                self._fresh_strategy(own_rolling_update(self._strategy, original), batch)
            ),
            DEPLOYMENT_EXTRA_STATUS: encode(replace(status, original=original)),
        }
        body.labels[ADVANCED_DEPLOYMENT] = "true"
        return self._patch(self._begun(body), guarded=True)

    def advance(self, batch: IntOrPercent) -> tuple[Write, ...]:
        strategy, revision = self._strategy, template_hash(self.deployment.spec.template)
        if strategy is None:  # a person spoilt it; what is there is not lost, because no pod is taken back
            strategy = self._fresh_strategy(own_rolling_update(None, self._original), batch)
        elif (
            not strategy.paused
            and strategy.revision in ("", revision)
            and self.planned(batch) < self.planned(strategy.partition)
        ):
            return ()  # more of this revision than that may move already
        wanted = replace(strategy, partition=batch, paused=False, revision=revision)
        if wanted == self._strategy:
            return ()
        body = _Body()
        body.annotations[DEPLOYMENT_STRATEGY] = encode(wanted)
        return self._patch(self._begun(body), guarded=True)

    def stop(self) -> tuple[Write, ...]:
        strategy, body = self._strategy, _Body()
        if strategy is None or strategy.paused:
            return ()
        body.annotations[DEPLOYMENT_STRATEGY] = encode(replace(strategy, paused=True))
        return self._patch(self._begun(body), guarded=True)

    def release(self, ending: Ending) -> tuple[Write, ...]:
        meta, body = self.deployment.metadata, _Body()
        body.annotations |= dict.fromkeys((k for k in _OURS if k in meta.annotations), None)
        if ending in (Ending.HANDED_OVER, Ending.SUCCEEDED):
            body.annotations = {k: v for k, v in body.annotations.items() if k == CONTROL_INFO}
            if ending is Ending.SUCCEEDED:
                body.labels |= self._next_stable()
            return self._patch(body, guarded=ending is Ending.SUCCEEDED)
        body.labels |= dict.fromkeys(
            (k for k in (ADVANCED_DEPLOYMENT, STABLE_REVISION) if k in meta.labels), None
        )
        paused = ending is Ending.PAUSED
        if self._is_bound:
            original = self._original
            body.spec |= restored_spec(original, self._strategy, paused=paused)
            return (*self._unmark(original.min_ready_seconds), *self._patch(body, guarded=True))
        if self.deployment.spec.paused != paused:
            body.spec["paused"] = paused
        return self._patch(body, guarded=True)

    @property
    def _revisions(self) -> Revisions:
        return revisions_of(self.deployment, self.replica_sets)

    def _next_stable(self) -> dict[str, str]:
        """The label for a release that sets out from the revision that the engine was last told to bring."""
        brought = "" if self._strategy is None else self._strategy.revision
        old = self._revisions.old
        found = next((r for r in old if brought and template_hash(r.spec.template) == brought), None)
        label = "" if found is None else hash_label(found)
        same = label in ("", self.deployment.metadata.labels.get(STABLE_REVISION))
        return {} if same else {STABLE_REVISION: label}

    def _stable_revision(self, revisions: Revisions) -> str:
        """What admission noted; without a release, the only revision there is."""
        noted = self.deployment.metadata.labels.get(STABLE_REVISION, "")
        found = revisions.stable or revisions.new
        return noted or ("" if found is None else hash_label(found))

    def _available(self, new: ReplicaSet | None) -> int:
        return 0 if new is None else available_pods(new, self._original.min_ready_seconds)

    def _hides_pods(self, revisions: Revisions) -> bool:
        """Old pods look failed, or still do, and the engine will see to it once it stands still."""
        strategy = self._strategy
        if strategy is None or not moves_pods(strategy):
            return False
        old = (r for r in revisions.old if r.replicas > 0)
        return any(r.spec.min_ready_seconds == MAX_READY_SECONDS or awaits_recount(r) for r in old)

    @property
    def _is_bound(self) -> bool:
        """Something of the engine or of a BatchRelease is on it, or was until somebody took the notes off."""
        meta, spec = self.deployment.metadata, self.deployment.spec
        return spec.min_ready_seconds == MAX_READY_SECONDS or any(k in meta.annotations for k in _OURS)

    @property
    def _strategy(self) -> PartitionStrategy | None:
        return strategy_of(self.deployment)

    @property
    def _original(self) -> OriginalStrategy:
        return original_of(self.deployment, stored_status(self.deployment).original)

    def _begun(self, body: _Body) -> _Body:
        """`body` with what the engine will write on seeing it: one write instead of two, and pods a moment earlier."""
        meta = self.deployment.metadata
        annotations = {k: v for k, v in (meta.annotations | body.annotations).items() if v is not None}
        told = replace(self.deployment, metadata=replace(meta, annotations=annotations))
        seen = DeploymentSnapshot(_NO_TIME, told, self.replica_sets, stored_status(told))
        first = next(iter(decide(seen).writes), None)
        if isinstance(first, Patch) and first.ref == seen.ref:
            body.spec |= first.body.get("spec", {})
            body.annotations |= first.body.get("metadata", {}).get("annotations", {})
        return body

    def _fresh_strategy(self, own: RollingUpdate, batch: IntOrPercent) -> PartitionStrategy:
        revision = template_hash(self.deployment.spec.template)
        return PartitionStrategy("Partition", own, partition=batch, revision=revision)

    def _unmark(self, min_ready_seconds: int) -> tuple[Write, ...]:
        """ReplicaSets that were kept from counting as available count again."""
        marked = (r for r in self._revisions.old if r.spec.min_ready_seconds == MAX_READY_SECONDS)
        body = {"spec": {"minReadySeconds": min_ready_seconds}}
        return tuple(Patch(REPLICA_SET.ref(r.metadata.namespace, r.metadata.name), body) for r in marked)

    def _patch(self, body: _Body, *, guarded: bool = False) -> tuple[Write, ...]:
        """`guarded`: refused if the Deployment has changed, or a template that just came would be let go unseen."""
        written, meta = body.as_patch(), self.deployment.metadata
        if not written:
            return ()
        ref = DEPLOYMENT.ref(meta.namespace, meta.name)
        if not guarded:
            return (Patch(ref, written),)
        if (body.labels and not meta.labels) or (body.annotations and not meta.annotations):
            # The other way needs maps that are there.
            return (Patch(ref, written, resource_version=meta.resource_version),)
        return (Patch(ref, written, basis=meta.basis),)


class _Body(Struct):
    """A merge patch in the making."""

    annotations: dict[str, str | None] = msgspec.field(default_factory=dict)
    labels: dict[str, str | None] = msgspec.field(default_factory=dict)
    spec: JsonObject = msgspec.field(default_factory=dict)

    def as_patch(self) -> JsonObject:
        """{} if nothing is to be changed."""
        metadata = {k: v for k, v in (("annotations", self.annotations), ("labels", self.labels)) if v}
        return {k: v for k, v in (("metadata", metadata), ("spec", self.spec)) if v}
