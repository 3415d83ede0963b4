"""The status of a Deployment: counters, and the conditions Available, Progressing and ReplicaFailure."""

from __future__ import annotations

from datetime import datetime, timedelta

from kruise_rollouts.kube.effects import JsonObject

from . import conditions, facts
from .deployment_view import Dep, Rs, total

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
TIMED_OUT = "ProgressDeadlineExceeded"
COMPLETE = "NewReplicaSetAvailable"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
DEADLINE_SLACK = timedelta(seconds=1)  # stored times have whole seconds


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> JsonObject:
    at = facts.stamp(now)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": at,
        "lastTransitionTime": at,
    }


def pause_condition(dep: Dep, found: list[JsonObject], now: datetime) -> list[JsonObject]:
    """Progressing turns Unknown when the Deployment is paused and when it is resumed, so that its clock restarts."""
    current = conditions.find(found, PROGRESSING)
    if dep.deadline is None or (current and current.get("reason") == TIMED_OUT):
        return found
    marked = current is not None and current.get("reason") == PAUSED
    if dep.paused and not marked:
        new = condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
    elif not dep.paused and marked:
        new = condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now)
    else:
        return found
    return conditions.with_condition(found, new)


def counted(dep: Dep, sets: list[Rs], new: Rs | None, status: JsonObject, now: datetime) -> JsonObject:
    """`status` with new counters and the Available condition."""
    available = sum(r.available for r in sets)
    enough = available >= dep.min_available
    found: list[JsonObject] = status.get("conditions") or []
    counts: JsonObject = {
        "observedGeneration": dep.generation,
        "replicas": sum(r.actual for r in sets),
        "updatedReplicas": new.actual if new else 0,
        "readyReplicas": sum(r.ready for r in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(total(sets) - available, 0),
        "terminatingReplicas": _terminating(sets),
        "conditions": conditions.with_condition(
            found,
            condition(
                AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now
            )
            if enough
            else condition(
                AVAILABLE,
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
                now,
            ),
        ),
    }
    shown = facts.without_zeros(counts, keep=("terminatingReplicas",))
    if shown["terminatingReplicas"] is None:
        del shown["terminatingReplicas"]
    if "collisionCount" in status:
        shown["collisionCount"] = status["collisionCount"]
    return shown


def _terminating(sets: list[Rs]) -> int | None:
    """None if a ReplicaSet that has been looked at does not say."""
    count = 0
    for rs in sets:
        status = facts.status(rs.obj)
        if status.get("terminatingReplicas") is not None:
            count += int(status["terminatingReplicas"])
        elif status.get("observedGeneration"):
            return None
    return count


def judged(dep: Dep, sets: list[Rs], new: Rs | None, old: JsonObject, now: datetime) -> JsonObject:
    """`counted`, and what the counters say about progress since `old`; for a Deployment that is rolling."""
    status = counted(dep, sets, new, old, now)
    found: list[JsonObject] = status["conditions"]
    current = conditions.find(old.get("conditions") or [], PROGRESSING)
    if dep.deadline is None:
        found = conditions.without(found, PROGRESSING)
    elif not _at_rest(status, current):
        found = _progress(dep, new, old, status, now)
    failure = _failure(sets, new)
    if failure is None:
        found = conditions.without(found, FAILURE)
    else:
        found = conditions.with_condition(found, failure)
    return {**status, "conditions": found}


def _at_rest(status: JsonObject, current: JsonObject | None) -> bool:
    """The last rollout has completed, and all pods are of one revision."""
    same = facts.int_of(status, "replicas") == facts.int_of(status, "updatedReplicas")
    return same and current is not None and current.get("reason") == COMPLETE


def _progress(
    dep: Dep, new: Rs | None, old: JsonObject, status: JsonObject, now: datetime
) -> list[JsonObject]:
    found: list[JsonObject] = status["conditions"]
    current = conditions.find(found, PROGRESSING)
    subject = f'ReplicaSet "{new.name}"' if new else f'Deployment "{dep.name}"'
    if is_complete(dep, status):
        message = f"{subject} has successfully progressed."
        return conditions.with_condition(found, condition(PROGRESSING, "True", COMPLETE, message, now))
    if _has_progressed(old, status):
        fresh = condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current is not None and current.get("status") == "True":
            fresh["lastTransitionTime"] = current["lastTransitionTime"]
        # Replaced even if reason and status are the same: lastUpdateTime is what the deadline counts from.
        return [*conditions.without(found, PROGRESSING), fresh]
    if _has_timed_out(dep, current, now):
        message = f"{subject} has timed out progressing."
        return conditions.with_condition(found, condition(PROGRESSING, "False", TIMED_OUT, message, now))
    return found


def is_complete(dep: Dep, status: JsonObject) -> bool:
    """All wanted pods are new and available, no old one is left."""
    return (
        facts.int_of(status, "updatedReplicas") == dep.replicas
        and facts.int_of(status, "replicas") == dep.replicas
        and facts.int_of(status, "availableReplicas") == dep.replicas
        and facts.int_of(status, "observedGeneration") >= dep.generation
    )


def _has_progressed(old: JsonObject, new: JsonObject) -> bool:
    def old_pods(status: JsonObject) -> int:
        return facts.int_of(status, "replicas") - facts.int_of(status, "updatedReplicas")

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old_pods(new) < old_pods(old) or any(facts.int_of(new, k) > facts.int_of(old, k) for k in grown)


def _has_timed_out(dep: Dep, current: JsonObject | None, now: datetime) -> bool:
    if dep.deadline is None or current is None or current.get("reason") == COMPLETE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    since = facts.time_at(current.get("lastUpdateTime")) or now
    return since + timedelta(seconds=dep.deadline) < now


def progress_due(dep: Dep, status: JsonObject) -> datetime | None:
    """When to look whether the deadline has passed; None if it does not run."""
    current = conditions.find(status.get("conditions") or [], PROGRESSING)
    if dep.deadline is None or current is None or is_complete(dep, status):
        return None
    if current.get("reason") in (TIMED_OUT, COMPLETE):
        return None
    since = facts.time_at(current.get("lastUpdateTime"))
    try:
        return since + timedelta(seconds=dep.deadline) + DEADLINE_SLACK if since else None
    except OverflowError:
        return None  # a deadline beyond the calendar never passes


def _failure(sets: list[Rs], new: Rs | None) -> JsonObject | None:
    """The ReplicaFailure of the new ReplicaSet, else of any; as a Deployment condition."""
    for rs in ([new] if new else []) + sets:
        found = conditions.find(facts.status(rs.obj).get("conditions") or [], FAILURE)
        if found is not None:
            at = found.get("lastTransitionTime")
            kept: JsonObject = {k: found[k] for k in ("type", "status", "reason", "message") if k in found}
            return {**kept, "lastUpdateTime": at, "lastTransitionTime": at}
    return None
