"""RolloutHistories: one record per release, written beside it. Off unless the gate RolloutHistory is on.

A record begins with the release and is completed when the Rollout is at rest again, however it ended. It belongs to
the Rollout (and goes with it), and the newest KEPT of each Rollout stay. A release neither waits for its record nor
fails with it.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec import Struct

from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.hashes import safe_encode
from kruise_rollouts.api.keys import (
    HISTORY_COMPLETED,
    ROLLOUT_BATCH_ID,
    ROLLOUT_ID,
    ROLLOUT_NAME,
    V1ALPHA1,
    V1BETA1,
    RolloutPhase,
)
from kruise_rollouts.api.rollouts_v1alpha1 import (
    HistoryPod,
    HistoryStep,
    RolloutHistory,
    RolloutHistorySpec,
    RolloutRecord,
    WorkloadRecord,
)
from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Patch, Ref, Write
from kruise_rollouts.kube.labels import LABEL_LENGTH, is_label_value
from kruise_rollouts.kube.objects import ROLLOUT_HISTORY

KEPT = 10  # records per Rollout
LISTED = 4000  # pods per record, about 800 KiB: etcd takes objects of up to 1.5 MiB
_SUFFIX = 6  # characters
_DIGEST = 10  # characters: enough to tell the Rollouts of a namespace apart


class HistorySnapshot(Struct, frozen=True):
    """Everything a decision may look at."""

    rollout: Rollout
    plan: JsonObject  # the Rollout's spec in v1alpha1, as the record keeps it
    workload: JsonObject  # the workload's spec; {} if there is none
    histories: tuple[RolloutHistory, ...]  # of this Rollout, by label
    pods: tuple[Pod, ...]  # of the workload


def decide_history(seen: HistorySnapshot) -> Decision[None]:
    """Writes that are missing for the records to tell what happened."""
    status = seen.rollout.status
    sub = status.active
    if sub is None or not sub.observed_rollout_id or seen.rollout.metadata.deletion_timestamp is not None:
        return Decision(None)
    if status.phase == RolloutPhase.PROGRESSING:
        known = any(_id_of(h) == sub.observed_rollout_id for h in seen.histories)
        if known or not is_label_value(sub.observed_rollout_id):  # such a release stands still: problems.py
            return Decision(None)
        return Decision(None, (_begun(seen, sub.observed_rollout_id),))
    if status.phase != RolloutPhase.HEALTHY:
        return Decision(None)
    writes: list[Write] = []
    for history in seen.histories:
        if history.status.phase != HISTORY_COMPLETED:
            writes += _completed(history, seen)
    return Decision(None, (*writes, *_outdated(seen.histories)))


def _begun(seen: HistorySnapshot, rollout_id: str) -> Create:
    meta = seen.rollout.metadata
    # Decided, not generated: the same record is not made twice, whatever crashes.
    digest = sha256(f"{meta.uid}/{rollout_id}".encode()).hexdigest()
    start = meta.name[: 252 - _SUFFIX].rstrip(".")  # no part of a name begins with "-"
    name = f"{start}-{safe_encode(digest)[:_SUFFIX]}"
    owner = {"apiVersion": V1BETA1, "kind": "Rollout", "name": meta.name, "uid": meta.uid, "controller": True}
    body = {
        "apiVersion": V1ALPHA1,
        "kind": "RolloutHistory",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {ROLLOUT_ID: rollout_id, ROLLOUT_NAME: name_label(meta.name)},
            "ownerReferences": [owner],
        },
        "spec": msgspec.to_builtins(_record(seen, rollout_id)),
    }
    return Create(ROLLOUT_HISTORY.ref(meta.namespace, name), body)


def name_label(rollout: str) -> str:
    """What the records of a Rollout are labelled with: its name, or what a label has room for of it.

    spec.rollout.name of the record is the whole name.
    """
    if len(rollout) <= LABEL_LENGTH:
        return rollout
    digest = safe_encode(sha256(rollout.encode()).hexdigest())[:_DIGEST]
    return f"{rollout[: LABEL_LENGTH - 1 - _DIGEST]}-{digest}"


def _record(seen: HistorySnapshot, rollout_id: str) -> RolloutHistorySpec:
    ref = seen.rollout.spec.workload_ref
    return RolloutHistorySpec(
        rollout=RolloutRecord(rollout_id, seen.rollout.metadata.name, seen.plan),
        workload=WorkloadRecord(ref.api_version, ref.kind, ref.name, seen.workload or None),
    )


def _completed(history: RolloutHistory, seen: HistorySnapshot) -> tuple[Write, ...]:
    """The plan as it was in the end, and the pods that each step was given, as many as there is room for."""
    rollout_id = _id_of(history)
    steps, left = [], LISTED
    for index in range(1, len(seen.rollout.spec.strategy.steps) + 1):
        pods = _pods_of(seen.pods, rollout_id, index)[:left]
        left -= len(pods)
        steps.append(HistoryStep(index, pods))
    record = msgspec.to_builtins(_record(seen, rollout_id))
    told = {"phase": HISTORY_COMPLETED, "canarySteps": msgspec.to_builtins(tuple(steps))}
    ref = _ref(history)
    return (Patch(ref, {"spec": record}), Patch(ref, {"status": told}, subresource="status"))


def _pods_of(pods: tuple[Pod, ...], rollout_id: str, index: int) -> tuple[HistoryPod, ...]:
    wanted = {ROLLOUT_ID: rollout_id, ROLLOUT_BATCH_ID: str(index)}
    own = (p for p in pods if wanted.items() <= p.metadata.labels.items() and not p.is_terminating)
    return tuple(HistoryPod(p.metadata.name, p.status.pod_ip, p.spec.node_name) for p in own)


def _outdated(histories: tuple[RolloutHistory, ...]) -> tuple[Write, ...]:
    newest_first = sorted(
        histories, key=lambda h: (h.metadata.creation_timestamp or "", h.metadata.name), reverse=True
    )
    return tuple(Delete(_ref(h), uid=h.metadata.uid) for h in newest_first[KEPT:])


def _id_of(history: RolloutHistory) -> str:
    return history.metadata.labels.get(ROLLOUT_ID, "")


def _ref(history: RolloutHistory) -> Ref:
    return ROLLOUT_HISTORY.ref(history.metadata.namespace, history.metadata.name)
