"""A Rollout and its surroundings as one value, for every face: terminal, live view, dashboard.

Reads raw objects of either API version and never fails on a missing field: what is not there yet reads as "-" or 0.
Fetching belongs to cli/, layout to views/text.py.
"""

from __future__ import annotations

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject

GROUP = "rollouts.kruise.io/"
BATCH_ID = GROUP + "rollout-batch-id"
TRAFFIC_ROUTING = GROUP + "trafficrouting"


class MatchView(Struct, frozen=True):
    """One condition of a traffic match."""

    where: str  # "header", "query" or "path"
    name: str
    value: str
    type: str


class StepView(Struct, frozen=True):
    replicas: str  # "20%", "3"; "" if the step has none
    traffic: str  # "20%"; "" if the step routes none by weight
    pause: str  # "60s", "until approved"
    matches: tuple[MatchView, ...] = ()


class PodView(Struct, frozen=True):
    name: str
    ready: int  # containers
    containers: int
    batch: str  # 1-based batch number; "" if not labelled
    revision: str  # pod-template-hash, else controller-revision-hash
    created: str  # RFC 3339
    restarts: int
    status: str  # phase, a waiting reason, or "Terminating"


class RolloutView(Struct, frozen=True):
    """All that a report about one Rollout shows."""

    name: str
    ns: str
    api_version: str
    phase: str
    message: str
    observed: bool  # the controller has seen the newest spec
    strategy: str  # "Canary" or "BlueGreen"
    style: str  # "Partition", "Canary" or "BlueGreen"
    step: int  # 1-based; 0 before the first release
    state: str
    steps: tuple[StepView, ...]
    traffic: tuple[JsonObject, ...]  # trafficRoutings entries as written
    workload_api: str
    workload_kind: str
    workload_name: str
    stable_revision: str
    update_revision: str
    pod_hash: str
    progressing: str  # reason of condition Progressing; "" if absent
    succeeded: str  # status of condition Succeeded; "" if absent
    paused: bool
    stalled: str  # why nothing goes on until a person acts; "" if it may go on
    stalled_reason: str  # the same in CamelCase

    @property
    def steps_total(self) -> int:
        return len(self.steps)


class WorkloadView(Struct, frozen=True):
    """Counters of the workload, in pods."""

    images: tuple[str, ...]
    desired: int
    updated: int
    current: int
    ready: int
    available: int


def rollout_view(obj: JsonObject) -> RolloutView:
    """The view of a Rollout object, v1alpha1 or v1beta1."""
    meta, spec, status = _part(obj, "metadata"), _part(obj, "spec"), _part(obj, "status")
    strategy = _part(spec, "strategy")
    blue_green = isinstance(strategy.get("blueGreen"), dict)
    plan = _part(strategy, "blueGreen" if blue_green else "canary")
    sub = _part(status, "blueGreenStatus" if blue_green else "canaryStatus")
    ref = _part(spec, "workloadRef") or _part(_part(spec, "objectRef"), "workloadRef")
    conditions = {c.get("type"): c for c in status.get("conditions") or () if isinstance(c, dict)}
    return RolloutView(
        name=_text(meta, "name"),
        ns=_text(meta, "namespace"),
        api_version=_text(obj, "apiVersion"),
        phase=_text(status, "phase"),
        message=_text(status, "message"),
        observed=status.get("observedGeneration") == meta.get("generation"),
        strategy="BlueGreen" if blue_green else "Canary",
        style=_style(obj, plan, blue_green),
        step=_number(sub, "currentStepIndex"),
        state=_text(sub, "currentStepState"),
        steps=tuple(_step(s) for s in plan.get("steps") or () if isinstance(s, dict)),
        traffic=tuple(t for t in plan.get("trafficRoutings") or () if isinstance(t, dict)),
        workload_api=_text(ref, "apiVersion"),
        workload_kind=_text(ref, "kind"),
        workload_name=_text(ref, "name"),
        stable_revision=_text(sub, "stableRevision"),
        update_revision=_text(sub, "updatedRevision") or _text(sub, "canaryRevision"),
        pod_hash=_text(sub, "podTemplateHash"),
        progressing=_text(conditions.get("Progressing") or {}, "reason"),
        succeeded=_text(conditions.get("Succeeded") or {}, "status"),
        paused=bool(strategy.get("paused")),
        stalled=_stalled(conditions.get("Stalled") or {}),
        stalled_reason=_text(conditions.get("Stalled") or {}, "reason"),
    )


def _stalled(condition: JsonObject) -> str:
    if _text(condition, "status") != "True":
        return ""
    return _text(condition, "message") or _text(condition, "reason") or "Stalled"


def _style(obj: JsonObject, plan: JsonObject, blue_green: bool) -> str:
    if blue_green:
        return "BlueGreen"
    if _text(obj, "apiVersion").endswith("v1alpha1"):
        annotations = _part(_part(obj, "metadata"), "annotations")
        return "Partition" if _text(annotations, GROUP + "rolling-style").lower() == "partition" else "Canary"
    return "Canary" if plan.get("enableExtraWorkloadForCanary") else "Partition"


def _step(step: JsonObject) -> StepView:
    traffic = _text(step, "traffic")
    if not traffic and isinstance(step.get("weight"), int):
        traffic = f"{step['weight']}%"
    seconds = _part(step, "pause").get("duration")
    matches = [m for match in step.get("matches") or () if isinstance(match, dict) for m in _matches(match)]
    replicas = step.get("replicas")
    return StepView(
        replicas="" if replicas is None else str(replicas),
        traffic=traffic,
        pause="until approved" if seconds is None else f"{seconds}s",
        matches=tuple(matches),
    )


def _matches(match: JsonObject) -> list[MatchView]:
    found = []
    for where, field in (("header", "headers"), ("query", "queryParams")):
        for m in match.get(field) or ():
            found.append(MatchView(where, _text(m, "name"), _text(m, "value"), _text(m, "type") or "Exact"))
    if path := _part(match, "path"):
        found.append(MatchView("path", "", _text(path, "value"), _text(path, "type") or "PathPrefix"))
    return found


def workload_view(obj: JsonObject) -> WorkloadView:
    """Counters of a Deployment, StatefulSet, CloneSet or DaemonSet object."""
    spec, status = _part(obj, "spec"), _part(obj, "status")
    containers = _part(_part(spec, "template"), "spec").get("containers") or ()
    daemon = "desiredNumberScheduled" in status
    replicas = spec.get("replicas")
    return WorkloadView(
        images=tuple(_text(c, "image") for c in containers),
        desired=_number(status, "desiredNumberScheduled")
        if daemon
        else (1 if replicas is None else replicas),
        updated=_number(status, "updatedNumberScheduled" if daemon else "updatedReplicas"),
        current=_number(status, "currentNumberScheduled" if daemon else "replicas"),
        ready=_number(status, "numberReady" if daemon else "readyReplicas"),
        available=_number(status, "numberAvailable" if daemon else "availableReplicas"),
    )


def pod_view(obj: JsonObject) -> PodView:
    """One row of the pod table."""
    meta, status = _part(obj, "metadata"), _part(obj, "status")
    labels = _part(meta, "labels")
    states = [c for c in status.get("containerStatuses") or () if isinstance(c, dict)]
    waiting = [_text(_part(_part(c, "state"), "waiting"), "reason") for c in states]
    reason = next((w for w in waiting if w and w != "ContainerCreating"), "")
    return PodView(
        name=_text(meta, "name"),
        ready=sum(bool(c.get("ready")) for c in states),
        containers=len(_part(obj, "spec").get("containers") or ()),
        batch=_text(labels, BATCH_ID),
        revision=_text(labels, "pod-template-hash") or _text(labels, "controller-revision-hash"),
        created=_text(meta, "creationTimestamp"),
        restarts=sum(_number(c, "restartCount") for c in states),
        status="Terminating" if meta.get("deletionTimestamp") else reason or _text(status, "phase"),
    )


def sort_pods(pods: list[PodView]) -> list[PodView]:
    """Those that are not ready first, because they are what is looked for; then batch by batch."""
    return sorted(pods, key=lambda p: (p.ready >= p.containers, p.batch, p.name))


def _part(obj: JsonObject, name: str) -> JsonObject:
    found: Json = obj.get(name)
    return found if isinstance(found, dict) else {}


def _text(obj: JsonObject, name: str) -> str:
    found: Json = obj.get(name)
    return found if isinstance(found, str) else ""


def _number(obj: JsonObject, name: str) -> int:
    found: Json = obj.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
