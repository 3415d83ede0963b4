"""Rows of the core group: pods, nodes, services, volumes, ..."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kruise_rollouts.kube.effects import Json, JsonObject

from .cells import (
    NONE,
    UNKNOWN,
    UNSET,
    Cells,
    Printer,
    age,
    age_of,
    at_most,
    containers,
    labels_text,
    moment,
    name_of,
    replicas_of,
    spec_of,
    status_of,
)

_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def pod(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    ready, total, reason, restarts, last = _pod_state(obj)
    restarted = f"{restarts} ({age(last, now)} ago)" if restarts and last else str(restarts)
    gates = [g["conditionType"] for g in spec.get("readinessGates") or ()]
    met = [
        c["type"] for c in status.get("conditions") or () if c["type"] in gates and c.get("status") == "True"
    ]
    return [
        name_of(obj),
        f"{ready}/{total}",
        reason,
        restarted,
        age_of(obj, now),
        ((status.get("podIPs") or [{}])[0].get("ip") or status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{len(met)}/{len(gates)}" if gates else NONE,
    ]


def _true(status: JsonObject, type: str) -> bool:
    return any(c.get("type") == type and c.get("status") == "True" for c in status.get("conditions") or ())


def _ended(state: JsonObject) -> str:
    """Why a terminated container ended."""
    if state.get("reason"):
        return str(state["reason"])
    return f"Signal:{state['signal']}" if state.get("signal") else f"ExitCode:{state.get('exitCode', 0)}"


def _pod_state(obj: JsonObject) -> tuple[int, int, str, int, str | None]:
    """Ready and all containers, what the pod is up to, restarts, and when the last one was."""
    spec, status = spec_of(obj), status_of(obj)
    phase = status.get("phase") or ""
    reason = status.get("reason") or phase
    gated = (c for c in status.get("conditions") or () if c.get("type") == "PodScheduled")
    if any(c.get("reason") == "SchedulingGated" for c in gated):
        reason = "SchedulingGated"
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or ()) + len(sidecars)
    found = status.get("initContainerStatuses") or ()
    ready, initialising = 0, ""
    for index, container in enumerate(found):
        state = _initialising(
            container, container["name"] in sidecars, index, len(spec.get("initContainers") or ())
        )
        if state:
            initialising = state
            break
        ready += bool(container.get("ready")) and container["name"] in sidecars
    counted = list(found)
    if initialising:
        reason = initialising
    if not initialising or _true(status, "Initialized"):
        running = status.get("containerStatuses") or ()
        reason, up = _running(running, reason, status)
        ready += up
        counted = [c for c in found if c["name"] in sidecars] + list(running)
    restarts = sum(c.get("restartCount") or 0 for c in counted)
    ends = [((c.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for c in counted]
    if obj["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return ready, total, reason, restarts, max((e for e in ends if e), default=None)


def _initialising(container: JsonObject, sidecar: bool, index: int, total: int) -> str:
    """What an init container keeps the pod waiting with; "" if it does not."""
    state = container.get("state") or {}
    ended, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason")
    if ended is not None and not ended.get("exitCode"):
        return ""
    if sidecar and container.get("started"):
        return ""
    if ended is not None:
        return f"Init:{_ended(ended)}"
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _running(found: Iterable[JsonObject], reason: str, status: JsonObject) -> tuple[str, int]:
    """The state of the app containers; the first one that has something to say is named."""
    ready, running = 0, False
    for container in reversed(list(found)):
        state = container.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting:
            reason = waiting
        elif state.get("terminated") is not None:
            reason = _ended(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if _true(status, "Ready") else "NotReady"
    return reason, ready


def node(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    prefix = "node-role.kubernetes.io/"
    roles = set()
    for key, value in (obj["metadata"].get("labels") or {}).items():
        if key.startswith(prefix) and key != prefix:
            roles.add(key[len(prefix) :])
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    known = {c["type"]: c.get("status") for c in status.get("conditions") or ()}
    states = [] if "Ready" not in known else ["Ready" if known["Ready"] == "True" else "NotReady"]
    if not states:
        states = ["Unknown"]
    if spec.get("unschedulable"):
        states.append("SchedulingDisabled")
    info = status.get("nodeInfo") or {}
    addresses = {a["type"]: a["address"] for a in reversed(status.get("addresses") or ())}
    return [
        name_of(obj),
        ",".join(states),
        ",".join(sorted(roles)) or NONE,
        age_of(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        info.get("osImage") or UNKNOWN,
        _kernel(info),
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _kernel(info: JsonObject) -> str:
    version, machine = info.get("kernelVersion"), info.get("architecture")
    return f"{version} ({machine})" if version and machine else version or UNKNOWN


def service(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    kind = spec.get("type") or "ClusterIP"
    ports = [
        f"{p['port']}:{p['nodePort']}/{p.get('protocol', 'TCP')}"
        if p.get("nodePort")
        else f"{p['port']}/{p.get('protocol', 'TCP')}"
        for p in spec.get("ports") or ()
    ]
    address = (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] or NONE
    return [
        name_of(obj),
        kind,
        address,
        _external(obj, kind),
        ",".join(ports) or NONE,
        age_of(obj, now),
        labels_text(spec.get("selector")),
    ]


def _external(obj: JsonObject, kind: str) -> str:
    spec = spec_of(obj)
    extra = list(spec.get("externalIPs") or ())
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    if kind == "LoadBalancer":
        found = (status_of(obj).get("loadBalancer") or {}).get("ingress") or ()
        given = ",".join(dict.fromkeys(i.get("ip") or i.get("hostname") or "" for i in found))
        every = ([given] if given else []) + extra
        return ",".join(every) or "<pending>"
    return ",".join(extra) or NONE


def endpoints(obj: JsonObject, now: datetime) -> Cells:
    every = []
    for subset in obj.get("subsets") or ():
        addresses, ports = subset.get("addresses") or (), subset.get("ports") or ()
        if not ports:
            every += [a["ip"] for a in addresses]
        every += [f"{a['ip']}:{p['port']}" for p in ports for a in addresses]
    return [name_of(obj), at_most(every), age_of(obj, now)]


def config_map(obj: JsonObject, now: datetime) -> Cells:
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [name_of(obj), count, age_of(obj, now)]


def secret(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), obj.get("type") or "", len(obj.get("data") or ()), age_of(obj, now)]


def namespace(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), status_of(obj).get("phase") or "", age_of(obj, now)]


def named(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), age_of(obj, now)]


def created_at(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), obj["metadata"].get("creationTimestamp")]


def event(obj: JsonObject, now: datetime) -> Cells:
    """An Event; of both groups, since they are one and the same."""
    series = obj.get("series") or {}
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if series:
        last, count = series.get("lastObservedTime") or last, series.get("count") or count
    target = (about.get("kind") or "").lower()
    if about.get("name"):
        target = f"{target}/{about['name']}"
    component = (
        source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    )
    host = source.get("host") or obj.get("reportingInstance") or ""
    return [
        _since(last, now),
        obj.get("type") or "",
        obj.get("reason") or "",
        target,
        about.get("fieldPath") or "",
        f"{component}, {host}" if host else component,
        (obj.get("message") or obj.get("note") or "").strip(),
        _since(first, now),
        count,
        name_of(obj),
    ]


def _since(text: str | None, now: datetime) -> str:
    return age(text, now) if moment(text) else UNKNOWN


def _modes(modes: Iterable[str]) -> str:
    return ",".join(_MODES[m] for m in _MODES if m in set(modes))


def volume(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    claim = spec.get("claimRef")
    phase = status.get("phase") or ""
    return [
        name_of(obj),
        (spec.get("capacity") or {}).get("storage", "0"),
        _modes(spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy") or "",
        "Terminating" if obj["metadata"].get("deletionTimestamp") else phase,
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason") or "",
        age_of(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def claim(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    bound = bool(spec.get("volumeName"))
    return [
        name_of(obj),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase") or "",
        spec.get("volumeName") or "",
        (status.get("capacity") or {}).get("storage", "0") if bound else "",
        _modes(status.get("accessModes") or ()) if bound else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or UNSET,
        age_of(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def pod_template(obj: JsonObject, now: datetime) -> Cells:
    template = obj.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    return [name_of(obj), *containers(template), labels_text(labels)]


def replication_controller(obj: JsonObject, now: datetime) -> Cells:
    return [*replicas_of(obj, now), labels_text(spec_of(obj).get("selector"))]


def quota(obj: JsonObject, now: datetime) -> Cells:
    status = status_of(obj)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for key in sorted(hard):
        text = f"{key}: {used.get(key, '0')}/{hard[key]}"
        (limits if key.startswith("limits.") else requests).append(text)
    return [name_of(obj), ", ".join(requests), ", ".join(limits), age_of(obj, now)]


def component(obj: JsonObject, now: datetime) -> Cells:
    found: Json = next((c for c in obj.get("conditions") or () if c.get("type") == "Healthy"), {})
    status = {"True": "Healthy", "False": "Unhealthy"}.get(found.get("status", ""), "Unknown")
    return [name_of(obj), status, found.get("message", ""), found.get("error", "")]


CORE: dict[tuple[str, str], Printer] = {
    ("", "pods"): pod,
    ("", "nodes"): node,
    ("", "services"): service,
    ("", "endpoints"): endpoints,
    ("", "configmaps"): config_map,
    ("", "secrets"): secret,
    ("", "namespaces"): namespace,
    ("", "serviceaccounts"): named,
    ("", "events"): event,
    ("", "persistentvolumes"): volume,
    ("", "persistentvolumeclaims"): claim,
    ("", "podtemplates"): pod_template,
    ("", "replicationcontrollers"): replication_controller,
    ("", "resourcequotas"): quota,
    ("", "limitranges"): created_at,
    ("", "componentstatuses"): component,
}
