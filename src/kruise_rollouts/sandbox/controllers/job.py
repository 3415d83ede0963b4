"""Job: pods that run to an end, so many at a time, until enough have succeeded or too many have failed."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.objects import POD, Kind
from kruise_rollouts.runtime.controller import Key

from . import conditions, facts
from .pods import Pod
from .templates import fresh_names, pod_of
from .world import Refusal, World

JOB = Kind("batch/v1", "Job", "jobs")
INDEX = "batch.kubernetes.io/job-completion-index"
BACKOFF_FIRST, BACKOFF_LONGEST = 10.0, 360.0  # seconds until a failed pod is replaced


class JobSeen(Struct, frozen=True):
    job: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    pods: tuple[Pod, ...]  # owned ones in any state
    refusal: Refusal | None
    now: datetime


class Jobs:
    name = "job-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> JobSeen | None:
        found = world.get(JOB, *key)
        if found is None:
            return None
        return JobSeen(
            job=found,
            status=facts.status(found) if pending is None else pending,
            pods=tuple(world.pods(facts.uid(found)).values()),
            refusal=world.refusal(self.name, key, now),
            now=now,
        )

    def decide(self, seen: JobSeen) -> Decision[JsonObject]:
        return decide_job(seen)

    def persist(self, seen: JobSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.job), status)
        return Patch(facts.ref_of(JOB, seen.job), {"status": patch}, "status") if patch else None


class _Step:
    """One decision in the making."""

    def __init__(self, seen: JobSeen) -> None:
        self.seen, self.spec = seen, facts.spec(seen.job)
        self.me = facts.ref_of(JOB, seen.job)
        self.active = [p for p in seen.pods if p.is_active]
        done = sum(p.phase == "Succeeded" for p in seen.pods)
        failed = sum(p.phase == "Failed" for p in seen.pods)
        self.succeeded = max(done, facts.int_of(seen.status, "succeeded"))
        self.failed = max(failed, facts.int_of(seen.status, "failed"))
        self.parallelism = facts.int_of(self.spec, "parallelism", 1)
        self.completions: int | None = self.spec.get("completions")
        self.writes: list[Write] = []
        self.notes: list[Note] = []

    @property
    def ended(self) -> bool:
        found = self.seen.status.get("conditions") or []
        return conditions.is_true(found, "Complete") or conditions.is_true(found, "Failed")


def decide_job(seen: JobSeen) -> Decision[JsonObject]:
    """Starts what is missing, stops what is too much, and ends the Job when its time has come."""
    step = _Step(seen)
    if facts.is_deleting(seen.job):
        return Decision(_counted(step, seen.status))
    if step.ended:
        return _expire(step)
    status = {"startTime": facts.stamp(seen.now), **seen.status}
    wake_at: datetime | None = None
    if step.spec.get("suspend"):
        status.pop("startTime", None)
        _stop(step, step.active)
        return _rest(step, _with_suspension(status, True, seen.now), None)
    status = _with_suspension(status, False, seen.now)
    verdict, wake_at = _verdict(step, status)
    if verdict is not None:
        return _end(step, status, *verdict)
    wake_at = _run(step, wake_at)
    return _rest(step, status, wake_at)


def _verdict(step: _Step, status: JsonObject) -> tuple[tuple[str, str, str] | None, datetime | None]:
    """(condition, reason, message) that ends the Job; and when its deadline is."""
    if step.failed > facts.int_of(step.spec, "backoffLimit", 6):
        return ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"), None
    deadline = step.spec.get("activeDeadlineSeconds")
    due: datetime | None = None
    if deadline is not None:
        since = facts.time_at(status.get("startTime")) or step.seen.now
        due = since + timedelta(seconds=int(deadline))
        if due <= step.seen.now:
            return ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"), None
    if step.completions is None:
        complete = step.succeeded > 0 and not step.active
    else:
        complete = step.succeeded >= step.completions
    if complete:
        return ("Complete", "CompletionsReached", "Reached expected number of succeeded pods"), None
    return None, due


def _run(step: _Step, wake_at: datetime | None) -> datetime | None:
    wanted = step.parallelism
    if step.completions is not None:
        wanted = min(wanted, step.completions - step.succeeded)
    elif step.succeeded:
        wanted = min(wanted, len(step.active))
    surplus = len(step.active) - wanted
    if surplus > 0:
        by_age = sorted(step.active, key=lambda p: (p.ready, p.created), reverse=False)
        _stop(step, by_age[:surplus])
    elif surplus < 0:
        if step.seen.refusal is not None:
            return min(wake_at or step.seen.refusal.retry_at, step.seen.refusal.retry_at)
        due = _retry_at(step)
        if due is not None and due > step.seen.now:
            return min(wake_at or due, due)
        _start(step, -surplus)
    return wake_at


def _retry_at(step: _Step) -> datetime | None:
    """When a pod may follow the one that failed last; None if none has failed."""
    ends = [t for p in step.seen.pods if p.phase == "Failed" and (t := _finished(p)) is not None]
    if not ends:
        return None
    delay = min(BACKOFF_FIRST * 2 ** (len(ends) - 1), BACKOFF_LONGEST)
    return max(ends) + timedelta(seconds=delay)


def _finished(pod: Pod) -> datetime | None:
    for container in facts.status(pod.raw).get("containerStatuses") or ():
        at = facts.time_at(((container.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        if at is not None:
            return at
    return None


def _start(step: _Step, count: int) -> None:
    job, ns = step.seen.job, step.me.ns
    seed = f"{facts.uid(job)}/{step.seen.now.timestamp()}/{len(step.seen.pods)}"
    indexed = step.spec.get("completionMode") == "Indexed"
    numbers = _free_indexes(step, count) if indexed else [None] * count
    prefixes = [f"{step.me.name}-" if n is None else f"{step.me.name}-{n}-" for n in numbers]
    taken = {p.name for p in step.seen.pods}
    for serial, (prefix, number) in enumerate(zip(prefixes, numbers, strict=True)):
        (name,) = fresh_names(prefix, f"{seed}/{serial}", 1, taken)
        taken.add(name)
        body = pod_of(step.spec["template"], job, JOB, name)
        if number is not None:
            notes = {**(body["metadata"].get("annotations") or {}), INDEX: str(number)}
            labels = {**(body["metadata"].get("labels") or {}), INDEX: str(number)}
            body = {**body, "metadata": {**body["metadata"], "annotations": notes, "labels": labels}}
        step.writes.append(Create(POD.ref(ns, name), body))
        step.notes.append(Note(step.me, "SuccessfulCreate", f"Created pod: {name}"))


def _free_indexes(step: _Step, count: int) -> list[int | None]:
    busy = {p.labels.get(INDEX) for p in step.seen.pods if p.is_active or p.phase == "Succeeded"}
    free = [i for i in range(step.completions or 0) if str(i) not in busy]
    return [*free[:count]]


def _stop(step: _Step, pods: list[Pod]) -> None:
    for pod in pods:
        step.writes.append(Delete(POD.ref(step.me.ns, pod.name), pod.uid))
        step.notes.append(Note(step.me, "SuccessfulDelete", f"Deleted pod: {pod.name}"))


def _end(step: _Step, status: JsonObject, kind: str, reason: str, message: str) -> Decision[JsonObject]:
    _stop(step, step.active)
    first = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
    found = status.get("conditions") or []
    for each in (first, kind):
        found = [*conditions.without(found, each), _condition(each, reason, message, step.seen.now)]
    status = {**status, "conditions": found}
    if kind == "Complete":
        status["completionTime"] = facts.stamp(step.seen.now)
        step.notes.append(Note(step.me, "Completed", "Job completed"))
    else:
        step.notes.append(Note(step.me, reason, message, "Warning"))
    return _rest(step, status, None)


def _condition(kind: str, reason: str, message: str, now: datetime, status: str = "True") -> JsonObject:
    at = facts.stamp(now)
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }


def _with_suspension(status: JsonObject, suspended: bool, now: datetime) -> JsonObject:
    found = status.get("conditions") or []
    shown = conditions.is_true(found, "Suspended")
    if shown == suspended:
        return status
    new = (
        _condition("Suspended", "JobSuspended", "Job suspended", now)
        if suspended
        else _condition("Suspended", "JobResumed", "Job resumed", now, "False")
    )
    return {**status, "conditions": conditions.with_condition(found, new)}


def _expire(step: _Step) -> Decision[JsonObject]:
    """A Job that has ended: deleted once its time to live is over."""
    status = _counted(step, step.seen.status)
    ttl = step.spec.get("ttlSecondsAfterFinished")
    if ttl is None:
        return Decision(status)
    ends = [
        facts.time_at(c.get("lastTransitionTime"))
        for c in status.get("conditions") or ()
        if c.get("type") in ("Complete", "Failed")
    ]
    due = (ends[0] or step.seen.now) + timedelta(seconds=int(ttl))
    if due > step.seen.now:
        return Decision(status, wake_at=due)
    return Decision(status, (Delete(step.me, facts.uid(step.seen.job), "Foreground"),))


def _rest(step: _Step, status: JsonObject, wake_at: datetime | None) -> Decision[JsonObject]:
    return Decision(_counted(step, status), tuple(step.writes), wake_at, tuple(step.notes))


def _counted(step: _Step, status: JsonObject) -> JsonObject:
    kept: JsonObject = {k: status[k] for k in ("startTime", "completionTime", "conditions") if k in status}
    counts: JsonObject = {
        **kept,
        "active": len(step.active),
        "ready": sum(p.ready for p in step.active),
        "succeeded": step.succeeded,
        "failed": step.failed,
        "terminating": sum(p.is_terminating for p in step.seen.pods),
        "uncountedTerminatedPods": {},
    }
    return facts.without_zeros(counts, keep=("ready", "terminating", "uncountedTerminatedPods"))
