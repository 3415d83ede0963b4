"""Revisions of a Deployment, read from its ReplicaSets: which there are, and which one `undo` goes back to."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
HASH_LABEL = "pod-template-hash"
# What a Deployment keeps of its own when an old revision's annotations come back.
OWN = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)
OURS = "rollouts.kruise.io/"
IN_PROGRESS = OURS + "in-progressing"
STABLE_REVISION = OURS + "stable-revision"


class Revision(Struct, frozen=True):
    number: int
    cause: str  # "" if nobody said
    hash: str  # label of its pods
    template: JsonObject  # without the hash label
    annotations: dict[str, str]


def revisions(deployment: JsonObject, replica_sets: Sequence[JsonObject]) -> list[Revision]:
    """Revisions owned by `deployment`, oldest first. ReplicaSets of others and without a revision are left out."""
    uid = deployment["metadata"]["uid"]
    found = []
    for rs in replica_sets:
        meta = rs["metadata"]
        if not any(o.get("uid") == uid and o.get("controller") for o in meta.get("ownerReferences") or ()):
            continue
        annotations = dict(meta.get("annotations") or {})
        if not annotations.get(REVISION, "").isdigit():
            continue
        found.append(
            Revision(
                number=int(annotations[REVISION]),
                cause=annotations.get(CHANGE_CAUSE, ""),
                hash=(meta.get("labels") or {}).get(HASH_LABEL, ""),
                template=without_hash(rs["spec"]["template"]),
                annotations=annotations,
            )
        )
    return sorted(found, key=lambda r: r.number)


def without_hash(template: JsonObject) -> JsonObject:
    """`template` less the label that the Deployment controller adds."""
    meta = dict(template.get("metadata") or {})
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    meta["labels"] = labels
    return {
        **template,
        "metadata": {k: v for k, v in meta.items() if k != "creationTimestamp" or v is not None},
    }


def target(deployment: JsonObject, found: Sequence[Revision], number: int) -> Revision | None:
    """The revision that undo goes back to; None if there is none.

    `number` 0 means what ran before: during a release the revision that it began from, however many versions were
    tried since; otherwise the newest whose template is not the present one's.
    """
    if number:
        return next((r for r in found if r.number == number), None)
    meta = deployment["metadata"]
    if is_held(deployment):
        stable = (meta.get("labels") or {}).get(STABLE_REVISION)
        began = next((r for r in found if stable and r.hash == stable), None)
        if began is not None:
            return began
    now = without_hash(deployment["spec"]["template"])
    return next((r for r in reversed(found) if r.template != now), None)


def is_held(workload: JsonObject) -> bool:
    """Whether a Rollout releases this workload, or is about to."""
    return IN_PROGRESS in (workload["metadata"].get("annotations") or {})


def restored_annotations(deployment: JsonObject, revision: Revision) -> dict[str, str]:
    """Annotations of the Deployment after undo: the revision's, but its own where they are not of the template."""
    own = {
        k: v
        for k, v in (deployment["metadata"].get("annotations") or {}).items()
        if k in OWN or OURS in k
    }  # fmt: skip
    theirs = {k: v for k, v in revision.annotations.items() if k not in OWN and OURS not in k}
    return theirs | own
