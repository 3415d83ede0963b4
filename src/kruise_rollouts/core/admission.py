"""What becomes of an update of a Deployment that a Rollout refers to: let through, held, mended, or refused.

Outside of a release, a new pod template begins one: the same write pauses the Deployment and marks it, so no pod
changes before its step comes. During a release (the *old* object has the mark, so a tool that replaces the object
cannot lose it) the fields that the release needs stay as they are, and what a person writes there is recorded, to
be in effect when the release ends. Our own writes are known by their field manager and pass. Everything a person
should know is said in a warning; the sentences are in admission_words.py. Nothing is decided here from time.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api import keys
from kruise_rollouts.api.annotations import (
    InProgressing,
    encode,
    parse_in_progressing,
    parse_partition_strategy,
)
from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.kube.effects import JsonObject

from . import admission_words as words
from .revision import hash_label, is_owned, revision_number, same_template, template_hash
from .rollout_ids import id_of
from .wishes import wishes_of

# What a release keeps on a Deployment: a person's write neither removes nor changes it.
ANNOTATIONS = (
    keys.IN_PROGRESSING,
    keys.DEPLOYMENT_STRATEGY,
    keys.DEPLOYMENT_EXTRA_STATUS,
    keys.ORIGINAL_DEPLOYMENT_STRATEGY,
    keys.CONTROL_INFO,
)
LABELS = (keys.STABLE_REVISION, keys.ADVANCED_DEPLOYMENT, keys.WORKLOAD_TYPE)


class Attempt(Struct, frozen=True):
    """An update of a Deployment that somebody asks for."""

    new: Deployment
    old: Deployment
    rollouts: tuple[Rollout, ...]  # of its namespace
    replica_sets: tuple[ReplicaSet, ...]  # that it controls; others do not matter
    field_manager: str = ""  # who writes, by its own account


class Verdict(Struct, frozen=True):
    body: JsonObject = {}  # merge patch of the object that is being admitted
    warnings: tuple[str, ...] = ()
    refusal: str = ""  # not "": the update must not happen; says what to do


PASS = Verdict()


def hold_workload(attempt: Attempt) -> Verdict:
    """What becomes of `attempt`."""
    if attempt.field_manager == keys.FIELD_MANAGER:
        return PASS
    by_age = sorted(attempt.rollouts, key=lambda r: r.seniority)
    found = [r for r in by_age if _releases(r, attempt.new)]
    rollout = next((r for r in found if not _is_going(r)), None)
    if rollout is None and found and is_marked(attempt.old):
        return _record(attempt, found[0])
    if rollout is None or rollout.spec.strategy.active is None:
        return PASS
    return _guard(attempt, rollout) if is_marked(attempt.old) else _enter(attempt, rollout)


def _releases(rollout: Rollout, deployment: Deployment) -> bool:
    ref = rollout.spec.workload_ref
    if (ref.group, ref.kind, ref.name) != ("apps", "Deployment", deployment.metadata.name):
        return False
    # Enabled again a moment ago, it releases what comes now.
    return not rollout.spec.disabled or rollout.status.phase != keys.RolloutPhase.DISABLED


def _is_going(rollout: Rollout) -> bool:
    return rollout.metadata.deletion_timestamp is not None


def is_marked(deployment: Deployment) -> bool:
    return parse_in_progressing(deployment.metadata.annotations.get(keys.IN_PROGRESSING)) is not None


# --- a release begins --------------------------------------------------------------------------------------------


def _enter(attempt: Attempt, rollout: Rollout) -> Verdict:
    new, old = attempt.new, attempt.old
    body: JsonObject = {}
    if is_marked(new):  # copied from an object in a release; this one is in none
        body = {"metadata": {"annotations": _without_copies(new, old)}}
    if same_template(old.spec.template, new.spec.template) or rollout.spec.disabled:
        return Verdict(body)
    if new.replicas == 0:
        return Verdict(body, (words.no_replicas(rollout),))
    active = active_replica_sets(attempt)
    others = [r for r in active if not same_template(r.spec.template, new.spec.template)]
    if not active:
        return Verdict(body, (words.no_pods(rollout),))
    if not others:
        return Verdict(body)  # back to what every pod runs: there is nothing to release
    if len(active) > 1 and rollout.spec.strategy.traffic_routings:
        if len(others) < len(active):
            return Verdict(body, (words.native_way_back(rollout),))
        return Verdict(refusal=words.several_versions(new, rollout, len(active)))
    return Verdict(_held(new, old, rollout, _set_out_from(others, rollout)), words.held(new, rollout))


def _set_out_from(others: list[ReplicaSet], rollout: Rollout) -> ReplicaSet:
    """The oldest version; or where a way back leads that is not over yet.

    The pods of the version that is given up there are of an older revision number.
    """
    back = rollout.status.taken_back_to
    return next((r for r in others if template_hash(r.spec.template) == back), others[0])


def _held(new: Deployment, old: Deployment, rollout: Rollout, stable: ReplicaSet) -> JsonObject:
    labels = {keys.STABLE_REVISION: hash_label(stable)}
    if not new.metadata.labels.get(keys.WORKLOAD_TYPE):
        labels[keys.WORKLOAD_TYPE] = keys.WorkloadType.DEPLOYMENT.value
    marks = {**_without_copies(new, old), keys.IN_PROGRESSING: encode(InProgressing(rollout.metadata.name))}
    return {"metadata": {"labels": labels, "annotations": marks}, "spec": {"paused": True}}


def _without_copies(new: Deployment, old: Deployment) -> dict[str, str | None]:
    """What a release keeps in annotations, as it was: a manifest saved in the middle of one says how far to go."""
    wanted = {key: old.metadata.annotations.get(key) for key in ANNOTATIONS}
    return _differing(wanted, new.metadata.annotations)


def active_replica_sets(attempt: Attempt) -> list[ReplicaSet]:
    """Those that are to have pods, the oldest version first."""
    # Some tools send the object without its uid; it is that of the stored one.
    found = [r for r in attempt.replica_sets if is_owned(r, attempt.old) and r.replicas > 0]
    return sorted(found, key=revision_number)


# --- a release whose Rollout is deleted --------------------------------------------------------------------------


def _record(attempt: Attempt, rollout: Rollout) -> Verdict:
    """Free to change, but settings that are the release's still: they come into effect a moment later, all at once."""
    wishes = wishes_of(attempt.old, attempt.new)
    if wishes is None or wishes.problem:
        return PASS
    body = {"metadata": {"annotations": wishes.annotations}, "spec": wishes.spec}
    return Verdict(body, tuple([words.recorded(rollout, wishes.told)] if wishes.told else ()))


# --- a release goes on -------------------------------------------------------------------------------------------


def _guard(attempt: Attempt, rollout: Rollout) -> Verdict:
    new, old = attempt.new, attempt.old
    annotations = {key: old.metadata.annotations.get(key) for key in ANNOTATIONS}
    labels = {key: old.metadata.labels.get(key) for key in LABELS}
    lost = is_marked(old) and not is_marked(new)
    is_new_version = not same_template(old.spec.template, new.spec.template)
    paused = old.spec.paused or is_new_version
    wishes = wishes_of(old, new)
    if wishes is not None and wishes.problem:
        return Verdict(refusal=words.invalid(rollout, wishes.problem))
    if wishes is not None:
        annotations |= wishes.annotations
    if is_new_version:
        annotations[keys.DEPLOYMENT_STRATEGY] = _standing_still(annotations[keys.DEPLOYMENT_STRATEGY])
    spec: JsonObject = {} if wishes is None else dict(wishes.spec)
    if new.spec.paused != paused:
        spec["paused"] = paused
    metadata = {
        "annotations": _differing(annotations, new.metadata.annotations),
        "labels": _differing(labels, new.metadata.labels),
    }
    said: list[str] = []
    stable = _stable(attempt)
    back = "" if stable is None else stable.metadata.annotations.get(keys.REVISION, "")
    if is_new_version:
        going_back = stable is not None and same_template(stable.spec.template, new.spec.template)
        said += words.rolled_back(rollout) if going_back else words.another_version(new, rollout, back)
    elif new.spec.paused != old.spec.paused and not lost:
        said += words.cannot_resume(rollout, back) if old.spec.paused else words.cannot_pause(rollout)
    elif lost:
        said += words.marks_put_back(rollout)
    if not is_new_version and id_of(new.metadata) != id_of(old.metadata):
        said += words.bad_rollout_id(new)
    if wishes is not None and wishes.told:
        said.append(words.recorded(rollout, wishes.told))
    return Verdict(_without_empty({"metadata": _without_empty(metadata), "spec": spec}), tuple(said))


def _stable(attempt: Attempt) -> ReplicaSet | None:
    """The ReplicaSet of the version that the release set out from."""
    noted = attempt.old.metadata.labels.get(keys.STABLE_REVISION, "")
    own = (r for r in attempt.replica_sets if is_owned(r, attempt.old))
    return next((r for r in own if hash_label(r) == noted), None)


def _standing_still(text: str | None) -> str | None:
    """The strategy with the note that a new version came: no batch of the old plan may move it."""
    strategy = parse_partition_strategy(text)
    return text if strategy is None else encode(replace(strategy, paused=True))


def _differing(wanted: dict[str, str | None], have: dict[str, str]) -> dict[str, str | None]:
    return {key: value for key, value in wanted.items() if have.get(key) != value}


def _without_empty(body: JsonObject) -> JsonObject:
    """A merge patch makes an object of every {}, even of one that was not there."""
    return {key: value for key, value in body.items() if value}
