"""What Jobs and CronJobs may be."""

from __future__ import annotations

import zoneinfo

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.cron import wrong_schedule
from kruise_rollouts.sandbox.custom.value_check import invalid, required, unsupported

from .validation_meta import Causes, not_negative, one_of, selector, selects, unchanged
from .validation_pods import template_causes
from .validation_workloads import MISMATCH, template_labels

_COUNTS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_RESTARTS = 'valid values: "OnFailure", "Never"'
_UID = "batch.kubernetes.io/controller-uid"
_NAME_LENGTH = 52  # of a CronJob: its Jobs get a suffix of 11


def job_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    given = spec.get("selector")
    if given is None:
        yield required("spec.selector")
    else:
        yield from selector("spec.selector", given)
    uid = new["metadata"].get("uid")
    if not spec.get("manualSelector") and given != {"matchLabels": {_UID: uid}} and given is not None:
        yield invalid("spec.selector", given, "`selector` not auto-generated")
    found = template_labels(spec)
    if given is None or not selects(given, found or {}):
        yield invalid("spec.template.metadata.labels", found, MISMATCH)
    yield from _job_spec("spec", spec)
    if old is not None:
        yield from _job_changes(spec, old["spec"])


def _job_spec(path: str, spec: JsonObject) -> Causes:
    for field in _COUNTS:
        yield from not_negative(f"{path}.{field}", spec.get(field))
    mode = spec.get("completionMode")
    if mode not in ("NonIndexed", "Indexed"):
        yield unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
    elif mode == "Indexed" and spec.get("completions") is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    replacement = spec.get("podReplacementPolicy")
    allowed = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
    if replacement is not None and replacement not in allowed:
        yield unsupported(f"{path}.podReplacementPolicy", replacement, allowed)
    template: JsonObject = spec.get("template") or {}
    yield from template_causes(f"{path}.template", template)
    policy = (template.get("spec") or {}).get("restartPolicy") or "Always"
    at = f"{path}.template.spec.restartPolicy"
    if policy == "Always":
        yield required(at, _RESTARTS)
    elif policy not in ("OnFailure", "Never"):
        yield unsupported(at, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") and policy != "Never":
        yield invalid(at, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _job_changes(spec: JsonObject, was: JsonObject) -> Causes:
    new, old = spec.get("completions"), was.get("completions")
    if new != old:
        elastic = (
            spec.get("completionMode") == "Indexed" and new is not None and new == spec.get("parallelism")
        )
        if not elastic:
            yield invalid("spec.completions", new, "field is immutable")
    yield from unchanged("spec.selector", spec.get("selector"), was.get("selector"))
    if not was.get("suspend"):
        yield from unchanged("spec.template", spec.get("template"), was.get("template"))
    elif _lasting(spec) != _lasting(was):
        yield invalid("spec.template.spec", _lasting(spec), "field is immutable")
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        yield from unchanged(f"spec.{field}", spec.get(field), was.get(field))


_SCHEDULING = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def _lasting(spec: JsonObject) -> JsonObject:
    """What of the pods is settled even while the Job is suspended: all but where they may run and how much they get."""
    pod: JsonObject = (spec.get("template") or {}).get("spec") or {}
    out = {k: v for k, v in pod.items() if k not in _SCHEDULING}
    for field in ("containers", "initContainers"):
        if pod.get(field):
            out[field] = [{k: v for k, v in c.items() if k != "resources"} for c in pod[field]]
    return out


def cron_job_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    name, spec = new["metadata"].get("name", ""), new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    if old is None and len(name) > _NAME_LENGTH:
        yield invalid("metadata.name", name, f"must be no more than {_NAME_LENGTH} characters")
    schedule = spec.get("schedule")
    if not schedule:
        yield required("spec.schedule")
    else:
        why = wrong_schedule(schedule)
        if why:
            yield invalid("spec.schedule", schedule, why)
    yield from not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    if "timeZone" in spec:
        yield from _zone("spec.timeZone", spec["timeZone"])
    yield from one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    job: JsonObject = (spec.get("jobTemplate") or {}).get("spec") or {}
    yield from _job_spec("spec.jobTemplate.spec", {"completionMode": "NonIndexed", **job})
    if job.get("manualSelector"):
        yield unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from not_negative(f"spec.{field}", spec.get(field))


def _zone(path: str, zone: str) -> Causes:
    if not zone:
        yield invalid(path, zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid(path, zone, why)
    elif zone not in _zones():
        yield invalid(path, zone, f"unknown time zone {zone}")


def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
