"""Moves a Deployment in batches by bounding its own controller: one decision about one Deployment.

The annotation keys.DEPLOYMENT_STRATEGY says how many pods may be of the new revision; whoever writes it, a
BatchRelease or a person, drives the Deployment. Two states: at rest it is paused; during a move no new pod counts as
available, bound.py says how far it may go, and it is paused once it has gone that far. The Deployment controller
scales the ReplicaSets (one exception: `_trims`), and strategy.type stays as it is (unless it is Recreate, which cannot
be bounded). Nothing is remembered: the person's own settings are kept in keys.DEPLOYMENT_EXTRA_STATUS until they are
given back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from kruise_rollouts.api.annotations import (
    ExtraStatus,
    PartitionStrategy,
    encode,
)
from kruise_rollouts.api.apps import ReplicaSet, ReplicaSetStatus
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.keys import (
    DEPLOYMENT_EXTRA_STATUS,
    DEPLOYMENT_STRATEGY,
    DESIRED_REPLICAS,
    MAX_READY_SECONDS,
)
from kruise_rollouts.kube.effects import Decision, JsonObject, Note, Patch, Ref, Write
from kruise_rollouts.kube.objects import REPLICA_SET

from .bound import Bound, Pods, bound_of, closer, resting_update, rolling_update
from .deployment_view import (
    DeploymentSnapshot,
    View,
    available_pods,
    awaits_recount,
    is_settled,
    look,
    moves_pods,
    stored_status,
    strategy_of,
)
from .plan import Slack, slack
from .revision import is_controlled, template_hash
from .settings import (
    RECREATE,
    Settings,
    at_rest,
    is_moving,
    is_recreate,
    on_the_move,
    restored_spec,
    spec_patch,
)

INVALID = "DeploymentStrategyInvalid"  # reason of the Event that tells of a message


def asks_for_pods(seen: DeploymentSnapshot) -> bool:
    """True if the decision depends on how long each new pod has been ready."""
    strategy = strategy_of(seen.deployment)
    if strategy is None:
        return False
    view = look(seen, strategy)
    target = _target(view)
    if view.original.min_ready_seconds == 0 or not target or not _is_prepared(view):
        return False
    return _bound(view, target, 0) != _bound(view, target, view.ready)


def decide(seen: DeploymentSnapshot) -> Decision[ExtraStatus]:
    """The writes that take the Deployment one step towards its annotation."""
    deployment = seen.deployment
    if deployment.metadata.deletion_timestamp is not None:
        return Decision(seen.status)
    if not deployment.metadata.annotations.get(DEPLOYMENT_STRATEGY):
        return _give_back(seen)
    strategy = strategy_of(deployment)
    if strategy is not None and not moves_pods(strategy):
        return Decision(seen.status)
    view = look(seen, strategy or PartitionStrategy(paused=True))
    if strategy is None:
        return _rest(
            view, f"annotation {DEPLOYMENT_STRATEGY} cannot be read: nothing moves until it is put right"
        )
    if view.problem:
        return _rest(view, view.problem)
    if not _is_meant(view):
        return _rest(view)
    if _waits_for_scaling(view):
        return Decision(seen.status)
    target = _target(view)
    return _move(view, target) if target else _rest(view)


def _waits_for_scaling(view: View) -> bool:
    """Whether to leave the Deployment alone until its controller has followed a change of replicas."""
    # A paused Recreate is never scaled in proportion: it has to come to rest in our way first.
    held = not is_recreate(view.deployment) and not _is_resumed(view)
    return view.is_scaling and held and not view.strategy.paused


def _is_meant(view: View) -> bool:
    """Whether the partition is of the present template: another one may have come past admission."""
    revision = view.strategy.revision
    return revision in ("", template_hash(view.deployment.spec.template))


def _is_resumed(view: View) -> bool:
    """By somebody else, so that no bound holds."""
    return not view.deployment.spec.paused and not is_moving(view.deployment)


def _target(view: View) -> int:
    """New pods to move to, 1..total; 0 if there is nothing to move or no safe way yet."""
    revisions, total = view.revisions, view.total
    if view.strategy.paused or view.problem or view.is_scaling or not _is_meant(view):
        return 0
    if revisions.new is None and not revisions.old:
        return total  # the first ReplicaSet is not made while paused
    if revisions.old_pods == 0:
        return 0  # a single revision: at rest it is given all replicas
    if _has_failed_surplus(view):
        return 0  # at rest it goes; in a move it is those that are to go first, if they serve or not
    target = min(total, max(view.limit, revisions.new_pods))  # never fewer than there are
    kept = total - target
    # Fewer old pods than are to be kept would be made up for with new ones; at rest all grow in proportion.
    if revisions.old_pods < kept or (revisions.old_pods == kept and revisions.new_pods == target):
        return 0
    return target


# --- at rest -------------------------------------------------------------------------------------------------------


def _rest(view: View, message: str = "", reason: str = INVALID) -> Decision[ExtraStatus]:
    """Nothing moves. Pods too many that serve, or whose like may, stay until all are available or a move goes on."""
    status = _status(view, message)
    if not _stands_still(view):
        return _decision(view, status, [] if _goes_no_further(view) else [_stop(view)], reason=reason)
    surplus = 0 if view.is_scaling else max(0, view.existing - view.total)
    available = (available_pods(r, view.original.min_ready_seconds) >= r.replicas for r in view.sets)
    if surplus > 0 and all(available):
        if not _knows_all_ready(view):
            return Decision(view.seen.status)  # news follows
        surplus = 0  # the Deployment controller may choose which go
    # Surge as it is first, or the pods that are ready would be trimmed.
    writes = _settle(view, _resting(view, surplus), status) or _trims(view, surplus)
    return _decision(view, status, [*writes, *_marks(view, moving=False)], reason=reason)


def _trims(view: View, surplus: int) -> list[Write]:
    """Takes away one of the old pods too many that is not ready, of a superseded revision first.

    A paused Deployment gives up pods of its largest ReplicaSet, which are the ones that serve; so this is the one case
    in which a ReplicaSet is scaled here. Its controller may make up for the pod before the surge is lowered, never with
    a new one, then, and always in the largest ReplicaSet. One at a time that very pod, not ready yet, is the one to go;
    several would be shared out among all ReplicaSets.
    """
    if view.revisions.new_pods > 0 or surplus == 0:
        return []
    failed = next((r for r in reversed(view.revisions.old) if _unready(r) > 0), None)
    if failed is None:
        return []
    version = failed.metadata.resource_version
    fewer = Patch(_ref(failed), {"spec": {"replicas": failed.replicas - 1}}, resource_version=version)
    spec = spec_patch(view.deployment, _resting(view, surplus - 1))
    return [fewer, Patch(view.seen.ref, {"spec": spec}, basis=view.deployment.metadata.basis)]


def _has_failed_surplus(view: View) -> bool:
    """There is something for `_trims`, or may be as soon as the ReplicaSets have been looked at again."""
    too_many = view.existing > view.total and view.revisions.new_pods == 0
    return too_many and any(r.status.ready_replicas < r.replicas for r in view.revisions.old)


def _unready(replica_set: ReplicaSet) -> int:
    """Pods wanted that are not ready; 0 while its controller has not said."""
    if replica_set.status.observed_generation < replica_set.metadata.generation:
        return 0
    return max(0, replica_set.replicas - replica_set.status.ready_replicas)


def _stands_still(view: View) -> bool:
    """The Deployment controller knows that it may do no more, so that there are just the pods that are seen.

    Surge is counted from them: a pod that it adds in this very moment would be trimmed, or one that serves in its place.
    """
    return is_settled(view.deployment) and _goes_no_further(view) and not _is_behind(view)


def _is_behind(view: View) -> bool:
    """The Deployment's controller counts other pods than its ReplicaSets show: one of the watches may be behind.

    Or some are just coming or going. News follows, whichever it is.
    """
    counted, new = view.deployment.status, view.revisions.new
    shown = sum(status.replicas for status in _shown(view))
    shown_new = 0 if new is None else new.status.replicas
    return (counted.replicas, counted.updated_replicas) != (shown, shown_new)


def _knows_all_ready(view: View) -> bool:
    """The Deployment's controller counts the ready pods that its ReplicaSets show.

    Two of them that are heard of late may show the right number of pods together, and pods ready that are gone.
    """
    return view.deployment.status.ready_replicas == sum(status.ready_replicas for status in _shown(view))


def _shown(view: View) -> list[ReplicaSetStatus]:
    """The states of all ReplicaSets that it controls."""
    return [r.status for r in view.seen.replica_sets if is_controlled(r, view.deployment)]


def _goes_no_further(view: View) -> bool:
    """It is stopped, or has come to the end of what it may do."""
    in_force = _in_force(view)
    return view.deployment.spec.paused or (in_force is not None and _is_reached(view, in_force))


def _stop(view: View) -> Patch:
    """Right whatever is under way.

    Refused like any other if the Deployment has changed: it may have been given back, and would stand still for good.
    """
    body: JsonObject = {"spec": {"paused": True}}
    # A pause alone could be taken for another controller's hold.
    if stored_status(view.deployment).original is None:
        body["metadata"] = {"annotations": {DEPLOYMENT_EXTRA_STATUS: encode(_status(view))}}
    return Patch(view.seen.ref, body, basis=view.deployment.metadata.basis)


def _resting(view: View, surplus: int) -> Settings:
    return at_rest(view.original, resting_update(view.own, view.allowed, surplus))


# --- on the move ---------------------------------------------------------------------------------------------------


def _move(view: View, target: int) -> Decision[ExtraStatus]:
    """Lets the Deployment controller go as far as the new pods that are available permit."""
    if _is_resumed(view) or not _is_prepared(view):
        return _prepare(view)
    available, wake_at = _available(view)
    bound = _bound(view, target, available)
    if not is_settled(view.deployment) or _counts_too_many(view) or _is_behind(view):
        # The last bound has yet to take effect: until then it may be drawn closer, not extended.
        in_force = _in_force(view)
        waits = Decision(view.seen.status, wake_at=wake_at)
        if in_force is None:
            return waits
        bound = closer(bound, in_force, _slack(view))
        if bound == in_force and not _is_reached(view, in_force):
            return waits
    if bound is None:
        return _rest(view)
    update = rolling_update(bound, view.total, view.strategy.partition, view.own)
    # Until more new pods are available there is nothing to do; what comes meanwhile, a template or another number of
    # replicas, finds the Deployment paused.
    moving = on_the_move(update)
    want = replace(moving, paused=True) if _is_reached(view, bound) else moving
    status = _status(view)
    return _decision(view, status, _settle(view, want, status), wake_at)


def _is_reached(view: View, bound: Bound) -> bool:
    """The Deployment controller has gone as far as it may."""
    revisions = view.revisions
    most = bound.unavailable + bound.surge
    return revisions.new_pods == most and revisions.old_pods == view.total - bound.unavailable


def _bound(view: View, target: int, available: int) -> Bound | None:
    pods = Pods(view.total, view.revisions.old_pods, _kept_back(view), available)
    in_force = _in_force(view)
    return bound_of(target, pods, _slack(view), 0 if in_force is None else in_force.unavailable)


def _slack(view: View) -> Slack:
    """The person's numbers. Where they ask for less surge than there is, it stays: a pause would have it trimmed."""
    there, now = view.existing - view.total, _spec_slack(view)
    if now is not None:
        there = min(there, now.surge)
    return view.allowed if there <= view.allowed.surge else replace(view.allowed, surge=there)


def _spec_slack(view: View) -> Slack | None:
    """What the Deployment's spec says now; None if it does not roll."""
    now = view.deployment.spec.strategy.rolling_update
    return None if now is None else slack(now.max_surge, now.max_unavailable, view.total)


def _kept_back(view: View) -> int:
    """Old pods that stay while there are some that are to go first."""
    first = view.revisions.first_to_go
    return 0 if first is None else view.revisions.old_pods - first.replicas


def _in_force(view: View) -> Bound | None:
    """What the present move allows; None at rest."""
    found = _spec_slack(view) if is_moving(view.deployment) else None
    return None if found is None else Bound(found.unavailable, found.surge)


def _available(view: View) -> tuple[int, datetime | None]:
    """New pods available by the person's own minReadySeconds, and when there will be one more."""
    seconds = view.original.min_ready_seconds
    new = view.revisions.new
    if new is None:
        return 0, None
    if seconds == 0:
        return min(view.ready, new.replicas), None  # some may be on their way out
    # Pods that nobody listed are not known to be available; the next decision will have them.
    own = (p for p in view.seen.pods or () if _is_of(p, new) and not p.is_terminating)
    due = [p.ready_since + timedelta(seconds=seconds) for p in own if p.ready_since is not None]
    available = min(new.replicas, sum(t <= view.seen.now for t in due))
    return available, min((t for t in due if t > view.seen.now), default=None)


def _is_of(pod: Pod, replica_set: ReplicaSet) -> bool:
    owner = pod.metadata.controller
    return owner is not None and owner.uid == replica_set.metadata.uid


def _marks(view: View, *, moving: bool) -> list[Write]:
    """Missing minReadySeconds of old ReplicaSets.

    The Deployment controller takes old pods that are not available first, so during a move those that are to go first
    are made to look so. One ReplicaSet at a time, or it would take ready pods of one before failed pods of another.
    """
    writes: list[Write] = []
    first = view.revisions.first_to_go if moving else None
    for replica_set in view.revisions.old:
        is_marked = replica_set.spec.min_ready_seconds == MAX_READY_SECONDS
        is_left = moving and is_marked and replica_set.replicas == 0  # no pod to lose: time enough at rest
        if is_marked != (replica_set is first) and not is_left:
            seconds = view.original.min_ready_seconds if is_marked else MAX_READY_SECONDS
            writes.append(Patch(_ref(replica_set), {"spec": {"minReadySeconds": seconds}}))
    return writes


def _is_prepared(view: View) -> bool:
    """Whether the pods that are new, and those that are to go first, count as not available by now, and others do.

    A Deployment that is resumed earlier takes them for available once more, and goes too far; or it takes pods that
    serve for failed ones, which it removes at once.
    """
    moving = is_moving(view.deployment)
    hidden = (r for r in (view.revisions.first_to_go, view.revisions.new) if r is not None and r.replicas > 0)
    if _marks(view, moving=True) or any(awaits_recount(r) for r in view.revisions.old) or _is_old_news(view):
        return False
    return all(
        r.spec.min_ready_seconds == MAX_READY_SECONDS
        and r.status.available_replicas == 0
        and (moving or r.status.observed_generation >= r.metadata.generation)
        for r in hidden
    )


def _is_old_news(view: View) -> bool:
    """The new ReplicaSet is seen as in a move that is over: at rest its pods count by now, or will any moment."""
    new = view.revisions.new
    at_rest = view.deployment.spec.min_ready_seconds != MAX_READY_SECONDS
    return (
        at_rest and new is not None and new.replicas > 0 and new.spec.min_ready_seconds == MAX_READY_SECONDS
    )


def _counts_too_many(view: View) -> bool:
    """Pods on their way out are still counted as available: the Deployment controller would take as many again."""
    return any(r.status.available_replicas > r.replicas for r in view.revisions.old)


def _prepare(view: View) -> Decision[ExtraStatus]:
    """At rest still, but pods that are new, and those that are to go first, no longer count as available."""
    marks = _marks(view, moving=True)
    spec, status = view.deployment.spec, _status(view)
    if not spec.paused:
        return _decision(view, status, [_stop(view)])
    if _is_old_news(view):
        return Decision(view.seen.status)  # hiding its pods could be mistaken for done
    if spec.min_ready_seconds == MAX_READY_SECONDS:
        return Decision(view.seen.status, tuple(marks))  # the rest is up to the controllers of the pods
    numbers = _resting(view, max(0, view.existing - view.total)).rolling_update
    if numbers != spec.strategy.rolling_update and not _stands_still(view):
        return Decision(view.seen.status)
    hidden = replace(on_the_move(numbers), paused=True)
    return _decision(view, status, [*_settle(view, hidden, status), *marks])


# --- given back ----------------------------------------------------------------------------------------------------


def _give_back(seen: DeploymentSnapshot) -> Decision[ExtraStatus]:
    """Somebody took the strategy away: the person's own settings again.

    Half way they come back when it is resumed: Kubernetes fills up the surge of a paused Deployment, with new pods too.
    """
    if seen.status.original is None and seen.deployment.spec.min_ready_seconds != MAX_READY_SECONDS:
        # Nothing of the person's is in it, nor is anything of ours in the spec.
        left = {"metadata": {"annotations": {DEPLOYMENT_EXTRA_STATUS: None}}}
        return Decision(ExtraStatus(), (Patch(seen.ref, left, basis=seen.deployment.metadata.basis),))
    view = look(seen, PartitionStrategy(paused=True))
    paused = not _is_resumed(view)
    if paused and view.original.type != RECREATE and view.revisions.new_pods and view.revisions.old_pods:
        pods = f"{view.revisions.new_pods} of {view.total} pods are new"
        told = f"annotation {DEPLOYMENT_STRATEGY} was taken away half way, {pods}: to go on without it, resume the Deployment"
        return _rest(view, told, reason="TakenAwayHalfWay")
    body = {
        "metadata": {"annotations": {DEPLOYMENT_EXTRA_STATUS: None}},
        "spec": restored_spec(view.original, None, paused=paused),
    }
    patch = Patch(seen.ref, body, basis=seen.deployment.metadata.basis)
    return Decision(ExtraStatus(), (*_marks(view, moving=False), patch))


# --- shared --------------------------------------------------------------------------------------------------------


def _status(view: View, message: str = "") -> ExtraStatus:
    return ExtraStatus(view.ready, view.limit, view.original, message)


def _settle(view: View, want: Settings, status: ExtraStatus) -> list[Write]:
    """The one patch of the Deployment, with the status in it; none if the spec is as wanted.

    Refused if the Deployment has changed meanwhile: a template that just came would start to move, settings that were
    just given back, or recorded for a person, would be lost.
    """
    spec = spec_patch(view.deployment, want)
    if not spec:
        return []
    body: JsonObject = {"spec": spec}
    if status != stored_status(view.deployment):
        body["metadata"] = {"annotations": {DEPLOYMENT_EXTRA_STATUS: encode(status)}}
    return [Patch(view.seen.ref, body, basis=view.deployment.metadata.basis)]


def _decision(
    view: View,
    status: ExtraStatus,
    writes: list[Write],
    wake_at: datetime | None = None,
    reason: str = INVALID,
) -> Decision[ExtraStatus]:
    notes: tuple[Note, ...] = ()
    writes = [*writes, *_unstick(view)]
    if not writes and not status.message and not is_settled(view.deployment):
        return Decision(view.seen.status)  # something is under way, and another write will carry the status
    if status.message and status.message != view.seen.status.message:
        notes = (Note(view.seen.ref, reason, status.message, "Warning"),)
    return Decision(status, tuple(writes), wake_at, notes)


def _unstick(view: View) -> list[Write]:
    """Takes back a note that stops the Deployment controller for good.

    It spreads a change of replicas while a ReplicaSet notes another number, and writes the number down when it scales
    one. The only ReplicaSet with pods, if it has the right size by chance, is never scaled: so it is spread for ever.
    """
    active = [r for r in view.sets if r.replicas > 0]
    if len(active) != 1 or view.existing != view.total or not is_settled(view.deployment):
        return []
    if active[0].metadata.annotations.get(DESIRED_REPLICAS, str(view.total)) == str(view.total):
        return []
    return [Patch(_ref(active[0]), {"metadata": {"annotations": {DESIRED_REPLICAS: str(view.total)}}})]


def _ref(replica_set: ReplicaSet) -> Ref:
    return REPLICA_SET.ref(replica_set.metadata.namespace, replica_set.metadata.name)
