"""CronJob: makes a Job whenever its schedule is due, and keeps a few that have ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Ref, Write
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.cron import Schedule, schedule_of

from . import conditions, facts
from .job import JOB
from .world import World

CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"  # annotation of its Jobs
MANY = 100  # missed times


class CronJobSeen(Struct, frozen=True):
    cron: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    jobs: tuple[JsonObject, ...]  # its own
    now: datetime


class CronJobs:
    name = "cronjob-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> CronJobSeen | None:
        found = world.get(CRON_JOB, *key)
        if found is None:
            return None
        status = facts.status(found) if pending is None else pending
        return CronJobSeen(found, status, tuple(world.controlled(JOB, facts.uid(found))), now)

    def decide(self, seen: CronJobSeen) -> Decision[JsonObject]:
        return decide_cron_job(seen)

    def persist(self, seen: CronJobSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.cron), status)
        return Patch(facts.ref_of(CRON_JOB, seen.cron), {"status": patch}, "status") if patch else None


class _Step:
    """One decision in the making."""

    def __init__(self, seen: CronJobSeen) -> None:
        self.seen, self.spec = seen, facts.spec(seen.cron)
        self.me = facts.ref_of(CRON_JOB, seen.cron)
        self.status = dict(seen.status)
        self.writes: list[Write] = []
        self.notes: list[Note] = []
        self.active = [j for j in seen.jobs if not _end_of(j)]

    def decision(self, wake_at: datetime | None) -> Decision[JsonObject]:
        active = [_reference(j) for j in sorted(self.active, key=facts.name)]
        if active or "active" in self.seen.status:
            self.status["active"] = active or None
        return Decision(self.status, tuple(self.writes), wake_at=wake_at, notes=tuple(self.notes))


def _end_of(job: JsonObject) -> str:
    """Complete or Failed; "" while it runs."""
    found = facts.status(job).get("conditions") or []
    return next((kind for kind in ("Complete", "Failed") if conditions.is_true(found, kind)), "")


def _reference(job: JsonObject) -> JsonObject:
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "name": facts.name(job),
        "namespace": facts.ns(job),
        "uid": facts.uid(job),
        "resourceVersion": facts.version(job),
    }


def decide_cron_job(seen: CronJobSeen) -> Decision[JsonObject]:
    """Takes note of Jobs that have ended, removes old ones, and starts the next if it is time."""
    step = _Step(seen)
    _take_note(step)
    _tidy(step)
    if facts.is_deleting(seen.cron) or step.spec.get("suspend"):
        return step.decision(None)
    schedule = schedule_of(step.spec["schedule"], step.spec.get("timeZone") or "")
    due, upcoming = _times(step, schedule)
    if due is not None:
        _start(step, due)
    return step.decision(upcoming)


def _take_note(step: _Step) -> None:
    known = {ref.get("uid"): ref for ref in step.seen.status.get("active") or ()}
    for job in step.seen.jobs:
        end = _end_of(job)
        if end and facts.uid(job) in known:
            text = f"Saw completed job: {facts.name(job)}, condition: {end}"
            step.notes.append(Note(step.me, "SawCompletedJob", text))
        finished = facts.status(job).get("completionTime")
        if end == "Complete" and finished and finished > str(step.status.get("lastSuccessfulTime") or ""):
            step.status["lastSuccessfulTime"] = finished


def _tidy(step: _Step) -> None:
    """Removes the oldest Jobs beyond the history that is kept."""
    for end, field, default in (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    ):
        ended = sorted((j for j in step.seen.jobs if _end_of(j) == end), key=_began)
        for job in ended[: max(len(ended) - facts.int_of(step.spec, field, default), 0)]:
            _remove(step, job)


def _began(job: JsonObject) -> tuple[str, str]:
    return str(facts.status(job).get("startTime") or ""), facts.name(job)


def _remove(step: _Step, job: JsonObject) -> None:
    if not facts.is_deleting(job):
        step.writes.append(Delete(facts.ref_of(JOB, job), facts.uid(job), "Background"))
        step.notes.append(Note(step.me, "SuccessfulDelete", f"Deleted job {facts.name(job)}"))


def _times(step: _Step, schedule: Schedule) -> tuple[datetime | None, datetime | None]:
    """The last time that was missed, if any, and the next to come."""
    now = step.seen.now
    since = facts.time_at(step.status.get("lastScheduleTime")) or facts.created(step.seen.cron)
    deadline = step.spec.get("startingDeadlineSeconds")
    if deadline is not None:
        since = max(since, now - timedelta(seconds=int(deadline)))
    due: datetime | None = None
    missed, at = 0, schedule.next_after(since)
    while at is not None and at <= now:
        due, missed = at, missed + 1
        if missed > MANY:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            step.notes.append(Note(step.me, "TooManyMissedTimes", text, "Warning"))
            since = now - timedelta(minutes=1) if not schedule.every else at
            missed, at = 0, schedule.next_after(max(since, at))
            continue
        at = schedule.next_after(at)
    return due, at


def _start(step: _Step, due: datetime) -> None:
    policy = step.spec.get("concurrencyPolicy") or "Allow"
    if policy == "Forbid" and step.active:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        step.notes.append(Note(step.me, "JobAlreadyActive", text))
        return
    if policy == "Replace":
        for job in step.active:
            _remove(step, job)
        step.active = []
    job = job_at(step.seen.cron, due)
    ref = Ref(JOB.api_version, JOB.kind, facts.ns(step.seen.cron), facts.name(job))
    step.status["lastScheduleTime"] = facts.stamp(due)
    step.writes.append(Create(ref, job))
    step.notes.append(Note(step.me, "SuccessfulCreate", f"Created job {ref.name}"))


def job_at(cron: JsonObject, due: datetime) -> JsonObject:
    """The Job for one time; its name follows from the time, so that no time gets two."""
    template: JsonObject = facts.spec(cron)["jobTemplate"]
    meta = template.get("metadata") or {}
    told = {**(meta.get("annotations") or {}), SCHEDULED: facts.stamp(due)}
    metadata: JsonObject = {
        "name": f"{facts.name(cron)}-{int(due.timestamp()) // 60}",
        "namespace": facts.ns(cron),
        "annotations": told,
        "ownerReferences": [facts.owner_ref(CRON_JOB, cron)],
    }
    if meta.get("labels"):
        metadata["labels"] = meta["labels"]
    spec = template.get("spec") or {}
    return {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "spec": spec}
