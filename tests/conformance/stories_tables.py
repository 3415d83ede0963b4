"""What tables show of objects of each kind; `kubectl get -o wide` shows the same rows with more columns."""

from __future__ import annotations

from typing import Any

from .asking import META_LIST, TABLE, Story
from .script import Script, labelled, thing
from .stories_filled import workload

_RBAC = "rbac.authorization.k8s.io/v1"
_NET = "networking.k8s.io/v1"


def _objects() -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Plural, group and object; no controller changes any of them."""
    pod = {"schedulerName": "nobody", "automountServiceAccountToken": False}
    two = [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]
    init = [{"name": "i", "image": "i:3"}]
    gated = {**pod, "containers": two, "initContainers": init, "readinessGates": [{"conditionType": "x/y"}]}
    backend = {"service": {"name": "w", "port": {"number": 80}}}
    hosts = [{"host": h, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}} for h in ("a.example.com", "b.example.com", "c.example.com", "d.example.com")]  # fmt: skip
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subjects = [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]  # fmt: skip
    job = {"template": {"spec": {**pod, "restartPolicy": "Never", "containers": two}}, "suspend": True}
    claim = {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}  # fmt: skip
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return (
        ("pods", "", thing("Pod", "w", spec={**pod, "containers": two})),
        ("pods", "", thing("Pod", "gated", spec=gated)),
        ("services", "", thing("Service", "plain", spec={"clusterIP": "None", "ports": ports})),
        ("services", "", thing("Service", "outside", spec={"type": "ExternalName", "externalName": "x.example.com"})),
        ("services", "", thing("Service", "given", spec={"clusterIP": "None", "externalIPs": ["1.2.3.4", "5.6.7.8"], "ports": ports[:1], "selector": {"a": "b", "c": "d"}})),
        ("configmaps", "", thing("ConfigMap", "w", data={"a": "1", "b": "2"}, binaryData={"c": "AA=="})),
        ("secrets", "", thing("Secret", "w", data={"a": "AA=="}, type="example.com/kind")),
        ("serviceaccounts", "", thing("ServiceAccount", "w", secrets=[{"name": "x"}])),
        ("persistentvolumeclaims", "", thing("PersistentVolumeClaim", "w", spec=claim)),
        ("resourcequotas", "", thing("ResourceQuota", "w", spec={"hard": {"count/widgets": "5", "count/gadgets": "7"}})),
        ("limitranges", "", thing("LimitRange", "w", spec={"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "9Gi"}}]})),
        ("podtemplates", "", thing("PodTemplate", "w", template={"metadata": {"labels": {"x": "y"}}, "spec": {"containers": two}})),
        ("endpoints", "", thing("Endpoints", "w", subsets=[{"addresses": [{"ip": f"10.0.0.{i}"} for i in range(1, 5)], "ports": ports}])),
        ("deployments", "apps/v1", workload("Deployment", "apps/v1", replicas=0, paused=True)),
        ("replicasets", "apps/v1", workload("ReplicaSet", "apps/v1", replicas=0)),
        ("controllerrevisions", "apps/v1", thing("ControllerRevision", "w", "apps/v1", revision=3, data={"a": 1})),
        ("jobs", "batch/v1", thing("Job", "w", "batch/v1", spec={**job, "completions": 3, "parallelism": 2})),
        ("cronjobs", "batch/v1", thing("CronJob", "w", "batch/v1", spec={"schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "suspend": True, "jobTemplate": {"spec": job}})),
        ("ingresses", _NET, thing("Ingress", "w", _NET, spec={"ingressClassName": "none", "rules": hosts, "tls": [{"hosts": ["a.example.com"], "secretName": "t"}]})),
        ("ingresses", _NET, thing("Ingress", "any", _NET, spec={"defaultBackend": backend})),
        ("networkpolicies", _NET, thing("NetworkPolicy", "w", _NET, spec={"podSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d", "e"]}]}})),
        ("roles", _RBAC, thing("Role", "r", _RBAC, rules=[])),
        ("rolebindings", _RBAC, thing("RoleBinding", "w", _RBAC, roleRef=ref, subjects=subjects)),
        ("leases", "coordination.k8s.io/v1", thing("Lease", "w", "coordination.k8s.io/v1", spec={"holderIdentity": "me"})),
        ("events", "", thing("Event", "w", involvedObject={"kind": "Pod", "name": "w", "namespace": "c-tables"}, reason="Why", message="what happened\n", type="Warning", source={"component": "c", "host": "h"}, count=3)),
        ("endpointslices", "discovery.k8s.io/v1", thing("EndpointSlice", "w", "discovery.k8s.io/v1", addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}], ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}])),
        ("horizontalpodautoscalers", "autoscaling/v1", thing("HorizontalPodAutoscaler", "w", "autoscaling/v1", spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "Frob", "name": "w", "apiVersion": "example.com/v1"}})),
        ("poddisruptionbudgets", "policy/v1", thing("PodDisruptionBudget", "w", "policy/v1", spec={"maxUnavailable": "30%", "selector": {"matchLabels": {"no": "body"}}})),
        ("csistoragecapacities", "storage.k8s.io/v1", thing("CSIStorageCapacity", "w", "storage.k8s.io/v1", storageClassName="x", capacity="1Gi")),
    )  # fmt: skip


def tables() -> Story:
    s = Script("tables", controlled=True)
    for plural, group, obj in _objects():
        name = obj["metadata"]["name"]
        s.post(f"create {plural}/{name}", plural, labelled(obj, shown="yes"), group=group)
        if plural not in ("resourcequotas", "jobs"):  # a controller has not seen them yet
            s.get(
                f"table of {plural}/{name}", f"{plural}/{name}?includeObject=None", group=group, accept=TABLE
            )
        if plural == "jobs":
            s.get("the job rests", "jobs/w", group=group, until=("status.conditions.0.type", "Suspended"))
    s.get("endpoints are there", "endpoints/given?includeObject=None", accept=TABLE, until=(200, None))
    s.get("the quota is counted", "resourcequotas/w", until=("status.hard.count/widgets", "5"))
    for plural, group, _ in dict.fromkeys((p, g, None) for p, g, _ in _objects()):
        if plural == "endpointslices":  # one has a name that is made up
            continue
        page = f"{plural}?labelSelector=shown&includeObject=None"
        s.get(f"list of {plural}", page, group=group, accept=TABLE)
    s.get("many as metadata", "configmaps?labelSelector=shown", accept=META_LIST)
    s.get("a scale as a table", "deployments/w/scale", group="apps/v1", accept=TABLE)
    s.get("a status as a table", "deployments/w/status", group="apps/v1", accept=TABLE)
    for kind in ("namespaces", "serviceaccounts", "limitranges", "endpointslices"):
        s.get(f"empty table of {kind}", f"/api/v1/{kind}?labelSelector=none" if kind != "endpointslices" else "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=none", accept=TABLE)  # fmt: skip
    for path in (
        "/apis/storage.k8s.io/v1/storageclasses", "/apis/storage.k8s.io/v1/csidrivers", "/apis/storage.k8s.io/v1/csinodes",
        "/apis/storage.k8s.io/v1/volumeattachments", "/apis/scheduling.k8s.io/v1/priorityclasses", "/apis/node.k8s.io/v1/runtimeclasses",
        "/apis/networking.k8s.io/v1/ingressclasses", "/apis/networking.k8s.io/v1/servicecidrs", "/apis/networking.k8s.io/v1/ipaddresses",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
        "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations", "/api/v1/persistentvolumes", "/api/v1/nodes", "/apis/apiregistration.k8s.io/v1/apiservices",
    ):  # fmt: skip
        s.get(f"empty table of {path.rpartition('/')[2]}", f"{path}?labelSelector=none", accept=TABLE)
    return s.story


def stories() -> tuple[Story, ...]:
    return (tables(),)
