"""Metadata, generation and status rules that hold when an object is written.

Everything takes and returns whole objects without changing them; unchanged parts are shared. What a field may hold
is builtin/validation.py's, what it holds by default is builtin/defaults.py's.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.builtin.defaults_workloads import TEMPLATE_GENERATION

from .resources import Resource

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

# Built-in kinds whose generation counts changes; of custom resources every one does.
_COUNTED = frozenset((
    ("", "pods"), ("", "podtemplates"), ("", "replicationcontrollers"), ("apps", "deployments"), ("apps", "replicasets"),
    ("apps", "statefulsets"), ("apps", "daemonsets"), ("batch", "jobs"), ("batch", "cronjobs"),
    ("networking.k8s.io", "ingresses"), ("networking.k8s.io", "ingressclasses"),
    ("networking.k8s.io", "networkpolicies"), ("policy", "poddisruptionbudgets"),
    ("discovery.k8s.io", "endpointslices"), ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("scheduling.k8s.io", "priorityclasses"),
))  # fmt: skip
# Kinds whose status a client may set when it creates them.
_STATUS_KEPT = frozenset((("", "nodes"),))
NAMESPACES = ("", "namespaces")
_FIRST_STATUS: dict[tuple[str, str], JsonObject] = {
    ("", "pods"): {"phase": "Pending"},
    ("", "namespaces"): {"phase": "Active"},
    ("", "persistentvolumeclaims"): {"phase": "Pending"},
    ("", "persistentvolumes"): {"phase": "Pending"},
    ("", "services"): {"loadBalancer": {}},
    ("networking.k8s.io", "ingresses"): {"loadBalancer": {}},
    ("apps", "statefulsets"): {"replicas": 0, "availableReplicas": 0},
    ("apps", "replicasets"): {"replicas": 0},
    ("", "replicationcontrollers"): {"replicas": 0},
    ("apps", "daemonsets"): {
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
    },
    ("policy", "poddisruptionbudgets"): {
        "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
    },
    ("autoscaling", "horizontalpodautoscalers"): {"desiredReplicas": 0, "currentMetrics": None},
}  # fmt: skip
_FIRST_OLD_STATUS: dict[tuple[str, str, str], JsonObject] = {
    ("autoscaling", "v1", "horizontalpodautoscalers"): {"currentReplicas": 0, "desiredReplicas": 0},
}
# A write of the status changes nothing else of these (and of custom resources); of others metadata as well.
_STATUS_ALONE = frozenset((
    "apiservices", "devicetaintrules", "flowschemas", "podgroups", "prioritylevelconfigurations", "resourceclaims",
    "servicecidrs", "storageversionmigrations", "storageversions", "validatingadmissionpolicies", "volumeattachments",
))  # fmt: skip
# What it does not change of their metadata.
_NOT_THROUGH_STATUS = {("", "pods"): "ownerReferences", ("apps", "deployments"): "labels"}
_NOT_NEW = ("resourceVersion", "selfLink")
_MAPS_AND_LISTS = ("labels", "annotations", "finalizers", "ownerReferences", "generateName")
_SYSTEM = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
)


def _void(key: str, value: Json) -> bool:
    """Whether a member of metadata says nothing; it is not stored then."""
    return value is None or (not value and key in _MAPS_AND_LISTS)


def _spell_nulls(meta: JsonObject) -> None:
    """A label or an annotation that is null is an empty text."""
    for key in ("labels", "annotations"):
        texts = meta.get(key)
        if texts and None in texts.values():
            meta[key] = {k: "" if v is None else v for k, v in texts.items()}


def timestamp(now: datetime) -> str:
    """`now` as metadata writes it: whole seconds, Z."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid(random: Random) -> str:
    bits = f"{random.getrandbits(128):032x}"
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{'89ab'[int(bits[16], 16) & 3]}{bits[17:20]}-{bits[20:]}"


def generated_name(base: str, random: Random) -> str:
    """`base`, cut to leave room, with five random characters."""
    return base[:58] + "".join(random.choices(SUFFIX_LETTERS, k=5))


def counts_generation(resource: Resource) -> bool:
    return resource.custom or resource.storage in _COUNTED


def canonical(resource: Resource, obj: JsonObject) -> JsonObject:
    """`obj` with apiVersion, kind and metadata first and as the resource has them (Entry.bytes relies on it)."""
    out: JsonObject = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": obj.get("metadata") or {},
    }
    for key, value in obj.items():
        if key not in out:
            out[key] = value
    return out


def first_version(resource: Resource, obj: JsonObject, ns: str) -> JsonObject:
    """A new object without what a client may not set: uid, times, and the status of kinds that have one."""
    meta = {
        k: v for k, v in obj["metadata"].items() if k not in _SYSTEM and k not in _NOT_NEW and not _void(k, v)
    }
    _spell_nulls(meta)
    if resource.namespaced:
        meta["namespace"] = ns
    if counts_generation(resource):
        meta["generation"] = 1
    out = {**obj, "metadata": meta}
    if resource.storage == NAMESPACES:
        _label_namespace(meta)
    if resource.has_status and resource.storage not in _STATUS_KEPT:
        out.pop("status", None)
    if not resource.custom and resource.has_status and "status" not in out:
        old = _FIRST_OLD_STATUS.get((resource.group, resource.version, resource.plural))
        out["status"] = _FIRST_STATUS.get(resource.storage, {}) if old is None else old
    return out


def stamped(obj: JsonObject, now: datetime, random: Random) -> JsonObject:
    """A new object with uid, creation time and, if it has only a generateName, its name."""
    meta = obj["metadata"]
    meta = {**meta, "uid": new_uid(random), "creationTimestamp": timestamp(now)}
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated_name(meta["generateName"], random)
    return {**obj, "metadata": meta}


_JOBS = ("batch", "jobs")
_VOLUMES = ("", "persistentvolumes")
_DAEMON_SETS = ("apps", "daemonsets")


def selected(resource: Resource, obj: JsonObject) -> JsonObject:
    """A new Job with the selector and the pod labels that are made from its uid, a new namespace with its finalizer."""
    spec = obj.get("spec") or {}
    if resource.storage == NAMESPACES:
        return {**obj, "spec": {**spec, "finalizers": ["kubernetes"]}}
    if resource.storage == _VOLUMES:
        moment = obj["metadata"]["creationTimestamp"]
        return {**obj, "status": {**obj["status"], "lastPhaseTransitionTime": moment}}
    if resource.storage != _JOBS or spec.get("manualSelector") or spec.get("selector"):
        return obj
    meta, template = obj["metadata"], spec.get("template") or {}
    uid, name = meta["uid"], meta["name"]
    inner = template.get("metadata") or {}
    labels = {**(inner.get("labels") or {}), "controller-uid": uid, "job-name": name}
    labels |= {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
    selector = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    template = {**template, "metadata": {**inner, "labels": labels}}
    if not meta.get("labels") or meta["labels"] == inner.get("labels"):
        meta = {**meta, "labels": labels}
    return {**obj, "metadata": meta, "spec": {**spec, "selector": selector, "template": template}}


def next_version(resource: Resource, new: JsonObject, live: JsonObject, subresource: str) -> JsonObject:
    """`new` with what a write of this subresource may not change taken from `live`."""
    was = live["metadata"]
    if subresource == "status":
        return _next_status(resource, new, live)
    meta = _kept(new["metadata"], was)
    out = {**new, "metadata": meta}
    if resource.storage == NAMESPACES:
        _label_namespace(meta)
        if subresource != "finalize":
            out["spec"] = live.get("spec") or {}
    if resource.has_status:
        if "status" in live:
            out["status"] = live["status"]
        else:
            out.pop("status", None)
    return out


def _label_namespace(meta: JsonObject) -> None:
    """Every namespace carries its name as a label, so that selectors can name it."""
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}


def _kept(meta: JsonObject, was: JsonObject) -> JsonObject:
    """`meta` with the system's own fields as they were."""
    out = {k: v for k, v in meta.items() if k != "selfLink" and not _void(k, v)}
    _spell_nulls(out)
    for key in _SYSTEM:
        if key in was:
            out[key] = was[key]
        else:
            out.pop(key, None)
    out["name"] = was["name"]
    out["resourceVersion"] = was["resourceVersion"]
    return out


def _next_status(resource: Resource, new: JsonObject, live: JsonObject) -> JsonObject:
    was = live["metadata"]
    if not resource.custom and resource.plural not in _STATUS_ALONE:
        meta = _kept(new["metadata"], was)
        fixed = _NOT_THROUGH_STATUS.get(resource.storage)
        if fixed is not None:
            meta.pop(fixed, None)
            if fixed in was:
                meta[fixed] = was[fixed]
    else:
        meta = {**was}
        if "managedFields" in new["metadata"]:
            meta["managedFields"] = new["metadata"]["managedFields"]
    out = {**live, "metadata": meta}
    if "status" in new:
        out["status"] = new["status"]
    else:
        out.pop("status", None)
    return out


def templates_counted(resource: Resource, new: JsonObject, live: JsonObject | None) -> JsonObject:
    """A DaemonSet with the number of its template, which the server alone sets."""
    if resource.storage != _DAEMON_SETS:
        return new
    count = 1
    if live is not None:
        before, after = ((o.get("spec") or {}).get("template") for o in (live, new))
        count = int((live["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION) or 0) + (
            before != after
        )
    annotations = new["metadata"].get("annotations") or {}
    if annotations.get(TEMPLATE_GENERATION) == str(count):
        return new
    annotations = {**annotations, TEMPLATE_GENERATION: str(count)}
    return {**new, "metadata": {**new["metadata"], "annotations": annotations}}


def counted(resource: Resource, new: JsonObject, live: JsonObject) -> JsonObject:
    """`new` with the generation one higher if what a controller must look at again has changed."""
    if not counts_generation(resource) or not _desire_changed(resource, new, live):
        return new
    generation = (live["metadata"].get("generation") or 0) + 1
    return {**new, "metadata": {**new["metadata"], "generation": generation}}


def _desire_changed(resource: Resource, new: JsonObject, live: JsonObject) -> bool:
    if resource.storage == ("apps", "deployments"):
        # Annotations count as well for this kind: the controller copies them to ReplicaSets.
        if (new["metadata"].get("annotations") or {}) != (live["metadata"].get("annotations") or {}):
            return True
        return bool(new.get("spec") != live.get("spec"))
    ignored = {"metadata", "apiVersion", "kind"} | ({"status"} if resource.has_status else set())
    keys = (new.keys() | live.keys()) - ignored
    return any(new.get(k) is not live.get(k) and new.get(k) != live.get(k) for k in keys)


def same(new: JsonObject, live: JsonObject) -> bool:
    """Whether a write would change nothing but the times in managedFields."""
    if new.keys() != live.keys():
        return False
    for key, value in new.items():
        if key != "metadata" and value is not live[key] and value != live[key]:
            return False
    return _timeless(new["metadata"]) == _timeless(live["metadata"])


def _timeless(meta: JsonObject) -> JsonObject:
    fields = meta.get("managedFields")
    if not fields:
        return meta
    return {**meta, "managedFields": [{k: v for k, v in f.items() if k != "time"} for f in fields]}


def is_released(resource: Resource, obj: JsonObject) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (resource.storage == NAMESPACES and (obj.get("spec") or {}).get("finalizers"))
