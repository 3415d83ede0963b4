"""Rows of everything else: networking, storage, access, extensions."""

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
    age_of,
    at_most,
    name_of,
    selector_text,
    spec_of,
    status_of,
)
from .columns_core import created_at, named


def ingress(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    hosts = [r.get("host") or "*" for r in spec.get("rules") or ()]
    found = (status_of(obj).get("loadBalancer") or {}).get("ingress") or ()
    return [
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        at_most(hosts) if hosts else "*",
        ",".join(dict.fromkeys(i.get("ip") or i.get("hostname") or "" for i in found)),
        "80, 443" if spec.get("tls") else "80",
        age_of(obj, now),
    ]


def ingress_class(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    found, text = spec.get("parameters"), NONE
    if found:
        group = found.get("apiGroup")
        text = (
            f"{found.get('kind', '')}.{group}/{found.get('name', '')}"
            if group
            else f"{found.get('kind')}/{found.get('name')}"
        )
    return [name_of(obj), spec.get("controller") or "", text, age_of(obj, now)]


def network_policy(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), selector_text(spec_of(obj).get("podSelector")), age_of(obj, now)]


def ip_address(obj: JsonObject, now: datetime) -> Cells:
    ref = spec_of(obj).get("parentRef") or {}
    kind = f"{ref.get('resource', '')}.{ref['group']}" if ref.get("group") else ref.get("resource", "")
    place = f"{ref['namespace']}/" if ref.get("namespace") else ""
    return [name_of(obj), f"{kind}/{place}{ref.get('name', '')}".lower()]


def service_cidr(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), ",".join(spec_of(obj).get("cidrs") or ()), age_of(obj, now)]


def endpoint_slice(obj: JsonObject, now: datetime) -> Cells:
    ports = [
        str(p["port"]) if p.get("port") is not None else p.get("name") or "*" for p in obj.get("ports") or ()
    ]
    every = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [
        name_of(obj),
        obj.get("addressType") or "",
        at_most(ports) if ports else UNSET,
        at_most(every) if every else UNSET,
        age_of(obj, now),
    ]


def lease(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), spec_of(obj).get("holderIdentity") or "", age_of(obj, now)]


def binding(obj: JsonObject, now: datetime) -> Cells:
    ref = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()

    def of(kind: str, show: str = "name") -> str:
        found = [s for s in subjects if s.get("kind") == kind]
        names = (f"{s.get('namespace', '')}/{s['name']}" if show == "both" else s["name"] for s in found)
        return ", ".join(names)

    role = f"{ref.get('kind', '')}/{ref.get('name', '')}"
    return [name_of(obj), role, age_of(obj, now), of("User"), of("Group"), of("ServiceAccount", "both")]


def storage_class(obj: JsonObject, now: datetime) -> Cells:
    notes = obj["metadata"].get("annotations") or {}
    default = "storageclass.kubernetes.io/is-default-class"
    marked = any(
        notes.get(k) == "true" for k in (default, default.replace("storageclass", "storageclass.beta"))
    )
    return [
        f"{name_of(obj)} (default)" if marked else name_of(obj),
        obj.get("provisioner") or "",
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or UNSET,
        bool(obj.get("allowVolumeExpansion")),
        age_of(obj, now),
    ]


def csi_driver(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    tokens = [t.get("audience", "") for t in spec.get("tokenRequests") or ()]
    return [
        name_of(obj),
        spec.get("attachRequired", True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        ",".join(tokens) or UNSET,
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        age_of(obj, now),
    ]


def csi_node(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), len(spec_of(obj).get("drivers") or ()), age_of(obj, now)]


def attachment(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    volume = (spec.get("source") or {}).get("persistentVolumeName") or ""
    attached = bool(status_of(obj).get("attached"))
    return [
        name_of(obj),
        spec.get("attacher") or "",
        volume,
        spec.get("nodeName") or "",
        attached,
        age_of(obj, now),
    ]


def attributes_class(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), obj.get("driverName") or "", age_of(obj, now)]


def webhooks(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), len(obj.get("webhooks") or ()), age_of(obj, now)]


def _policy(count: str) -> Printer:
    def row(obj: JsonObject, now: datetime) -> Cells:
        spec = spec_of(obj)
        param = spec.get("paramKind")
        kind = f"{param.get('apiVersion', '')}/{param.get('kind', '')}" if param else UNSET
        return [name_of(obj), len(spec.get(count) or ()), kind, age_of(obj, now)]

    return row


def policy_binding(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    ref = spec.get("paramRef")
    text = UNSET
    if ref:
        place = ref.get("namespace") or "*"
        text = (
            f"{place}/{ref['name']}" if ref.get("name") else f"{place}/{selector_text(ref.get('selector'))}"
        )
    return [name_of(obj), spec.get("policyName") or "", text, age_of(obj, now)]


def api_service(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    ref = spec.get("service")
    found: Json = next(
        (c for c in status_of(obj).get("conditions") or () if c.get("type") == "Available"), None
    )
    state = UNKNOWN
    if found is not None:
        state = (
            found["status"] if found["status"] == "True" else f"{found['status']} ({found.get('reason', '')})"
        )
    return [name_of(obj), f"{ref['namespace']}/{ref['name']}" if ref else "Local", state, age_of(obj, now)]


def priority_class(obj: JsonObject, now: datetime) -> Cells:
    policy = obj.get("preemptionPolicy") or "PreemptLowerPriority"
    return [name_of(obj), obj.get("value") or 0, bool(obj.get("globalDefault")), age_of(obj, now), policy]


def runtime_class(obj: JsonObject, now: datetime) -> Cells:
    return [name_of(obj), obj.get("handler") or "", age_of(obj, now)]


def signing_request(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    seconds = spec.get("expirationSeconds")
    return [
        name_of(obj),
        age_of(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username") or "",
        f"{seconds}s" if seconds is not None else NONE,
        _signed(c.get("type", "") for c in status.get("conditions") or ())
        + (",Issued" if status.get("certificate") else ""),
    ]


def _signed(types: Iterable[str]) -> str:
    found = set(types)
    verdict = next((t for t in ("Denied", "Approved") if t in found), "Pending")
    states = [verdict]
    return ",".join([*states, *(["Failed"] if "Failed" in found else [])])


def resource_claim(obj: JsonObject, now: datetime) -> Cells:
    status = status_of(obj)
    states = ["deleted"] if obj["metadata"].get("deletionTimestamp") else []
    states += ["allocated"] if status.get("allocation") else []
    states += ["reserved"] if status.get("reservedFor") else []
    return [name_of(obj), ",".join(states) or "pending", age_of(obj, now)]


def resource_slice(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    pool = (spec.get("pool") or {}).get("name") or ""
    return [name_of(obj), spec.get("nodeName") or UNSET, spec.get("driver") or "", pool, age_of(obj, now)]


def flow_schema(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    dangling: Json = next(
        (c for c in status_of(obj).get("conditions") or () if c.get("type") == "Dangling"), {}
    )
    return [
        name_of(obj),
        (spec.get("priorityLevelConfiguration") or {}).get("name") or NONE,
        spec.get("matchingPrecedence") or 0,
        (spec.get("distinguisherMethod") or {}).get("type") or NONE,
        age_of(obj, now),
        dangling.get("status") or "?",
    ]


def priority_level(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    limited = spec.get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    shares = limited.get("nominalConcurrencyShares")
    rest = [queuing.get(k, NONE) for k in ("queues", "handSize", "queueLengthLimit")]
    return [name_of(obj), spec.get("type") or "", NONE if shares is None else shares, *rest, age_of(obj, now)]


OTHER: dict[tuple[str, str], Printer] = {
    ("networking.k8s.io", "ingresses"): ingress,
    ("networking.k8s.io", "ingressclasses"): ingress_class,
    ("networking.k8s.io", "networkpolicies"): network_policy,
    ("networking.k8s.io", "ipaddresses"): ip_address,
    ("networking.k8s.io", "servicecidrs"): service_cidr,
    ("discovery.k8s.io", "endpointslices"): endpoint_slice,
    ("coordination.k8s.io", "leases"): lease,
    ("rbac.authorization.k8s.io", "rolebindings"): binding,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): binding,
    ("rbac.authorization.k8s.io", "roles"): created_at,
    ("rbac.authorization.k8s.io", "clusterroles"): created_at,
    ("storage.k8s.io", "storageclasses"): storage_class,
    ("storage.k8s.io", "csidrivers"): csi_driver,
    ("storage.k8s.io", "csinodes"): csi_node,
    ("storage.k8s.io", "csistoragecapacities"): created_at,
    ("storage.k8s.io", "volumeattachments"): attachment,
    ("storage.k8s.io", "volumeattributesclasses"): attributes_class,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): webhooks,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): webhooks,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): _policy("mutations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): _policy("validations"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): policy_binding,
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): policy_binding,
    ("apiextensions.k8s.io", "customresourcedefinitions"): created_at,
    ("apiregistration.k8s.io", "apiservices"): api_service,
    ("scheduling.k8s.io", "priorityclasses"): priority_class,
    ("node.k8s.io", "runtimeclasses"): runtime_class,
    ("certificates.k8s.io", "certificatesigningrequests"): signing_request,
    ("resource.k8s.io", "deviceclasses"): named,
    ("resource.k8s.io", "resourceclaims"): resource_claim,
    ("resource.k8s.io", "resourceclaimtemplates"): named,
    ("resource.k8s.io", "resourceslices"): resource_slice,
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): flow_schema,
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): priority_level,
}
