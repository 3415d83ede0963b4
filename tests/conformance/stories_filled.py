"""Built-in kinds: what is filled in when they are created, and what is shown through some changes."""

from __future__ import annotations

from typing import Any

from .asking import APPLY, STRATEGIC, TABLE, Story
from .script import Script, labelled, thing


def workload(kind: str, version: str, **spec: Any) -> dict[str, Any]:
    """A workload of pods labelled app=w."""
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    return thing(
        kind, "w", version, spec={"selector": {"matchLabels": {"app": "w"}}, "template": template, **spec}
    )


def filled() -> Story:
    """Dry runs, so that no controller has a say: what the server fills in."""
    s = Script("filled")
    pod = {"containers": [{"name": "a", "image": "a"}]}
    full = {
        "restartPolicy": "OnFailure",
        "containers": [
            {
                "name": "a",
                "image": "a:1",
                "ports": [{"containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": 80}},
                "readinessProbe": {"exec": {"command": ["x"]}},
                "resources": {"limits": {"cpu": "1000m"}},
                "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }
        ],
        "volumes": [
            {"name": "c", "configMap": {"name": "c"}},
            {"name": "e"},
            {"name": "s", "secret": {"secretName": "s"}},
            {"name": "h", "hostPath": {"path": "/x"}},
            {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
        "initContainers": [{"name": "i", "image": "i@sha256:" + "0" * 64}],
    }
    job = {"template": {"spec": {**pod, "restartPolicy": "Never"}}}
    made: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("deployment", "deployments", "apps/v1", workload("Deployment", "apps/v1")),
        ("recreate", "deployments", "apps/v1", workload("Deployment", "apps/v1", strategy={"type": "Recreate"})),
        ("replica set", "replicasets", "apps/v1", workload("ReplicaSet", "apps/v1")),
        ("stateful set", "statefulsets", "apps/v1", workload("StatefulSet", "apps/v1", serviceName="x", volumeClaimTemplates=[{"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}])),
        ("daemon set", "daemonsets", "apps/v1", workload("DaemonSet", "apps/v1")),
        ("job", "jobs", "batch/v1", thing("Job", "w", "batch/v1", spec=job)),
        ("cron job", "cronjobs", "batch/v1", thing("CronJob", "w", "batch/v1", spec={"schedule": "* * * * *", "jobTemplate": {"spec": job}})),
        ("pod", "pods", "", thing("Pod", "w", spec={**pod, "automountServiceAccountToken": False})),
        ("template with much", "podtemplates", "", thing("PodTemplate", "w", template={"spec": full})),
        ("service", "services", "", thing("Service", "w", spec={"selector": {"app": "w"}, "ports": [{"port": 80}]})),
        ("headless service", "services", "", thing("Service", "w", spec={"clusterIP": "None", "ports": [{"port": 80, "targetPort": "http"}]})),
        ("external service", "services", "", thing("Service", "w", spec={"type": "ExternalName", "externalName": "x.example.com"})),
        ("node port service", "services", "", thing("Service", "w", spec={"type": "NodePort", "ports": [{"port": 80}]})),
        ("load balancer", "services", "", thing("Service", "w", spec={"type": "LoadBalancer", "ports": [{"port": 80}]})),
        ("ingress", "ingresses", "networking.k8s.io/v1", thing("Ingress", "w", "networking.k8s.io/v1", spec={"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]})),
        ("network policy", "networkpolicies", "networking.k8s.io/v1", thing("NetworkPolicy", "w", "networking.k8s.io/v1", spec={"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]})),
        ("budget", "poddisruptionbudgets", "policy/v1", thing("PodDisruptionBudget", "w", "policy/v1", spec={"minAvailable": "50%", "selector": {"matchLabels": {"app": "w"}}})),
        ("autoscaler v2", "horizontalpodautoscalers", "autoscaling/v2", thing("HorizontalPodAutoscaler", "w", "autoscaling/v2", spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "w", "apiVersion": "apps/v1"}})),
        ("autoscaler v1", "horizontalpodautoscalers", "autoscaling/v1", thing("HorizontalPodAutoscaler", "w", "autoscaling/v1", spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "w", "apiVersion": "apps/v1"}})),
        ("claim", "persistentvolumeclaims", "", thing("PersistentVolumeClaim", "w", spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}})),
        ("secret", "secrets", "", thing("Secret", "w", stringData={"a": "b"})),
        ("service account", "serviceaccounts", "", thing("ServiceAccount", "w")),
        ("role", "roles", "rbac.authorization.k8s.io/v1", thing("Role", "w", "rbac.authorization.k8s.io/v1", rules=[])),
        ("lease", "leases", "coordination.k8s.io/v1", thing("Lease", "w", "coordination.k8s.io/v1", spec={"holderIdentity": "me", "leaseDurationSeconds": 15})),
        ("quota", "resourcequotas", "", thing("ResourceQuota", "w", spec={"hard": {"pods": "10"}})),
        ("limit range", "limitranges", "", thing("LimitRange", "w", spec={"limits": [{"type": "Container", "max": {"cpu": "2"}}]})),
        ("revision", "controllerrevisions", "apps/v1", thing("ControllerRevision", "w", "apps/v1", revision=1, data={"x": 1})),
        ("controller", "replicationcontrollers", "", thing("ReplicationController", "w", spec={"template": {"metadata": {"labels": {"app": "w"}}, "spec": pod}})),
        ("event", "events", "", thing("Event", "w", involvedObject={"kind": "Pod", "name": "p", "namespace": "c-filled"}, reason="R", message="m", type="Normal")),
        ("endpoints", "endpoints", "", thing("Endpoints", "w", subsets=[{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}])),
        ("slice", "endpointslices", "discovery.k8s.io/v1", thing("EndpointSlice", "w", "discovery.k8s.io/v1", addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 80}])),
        ("namespace", "/api/v1/namespaces", "", thing("Namespace", "c-filled-w")),
        ("priority class", "/apis/scheduling.k8s.io/v1/priorityclasses", "", thing("PriorityClass", "c-filled-w", "scheduling.k8s.io/v1", value=5)),
        ("storage class", "/apis/storage.k8s.io/v1/storageclasses", "", thing("StorageClass", "c-filled-w", "storage.k8s.io/v1", provisioner="x")),
        ("volume", "/api/v1/persistentvolumes", "", thing("PersistentVolume", "c-filled-w", spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}})),
        ("webhook", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "", thing("ValidatingWebhookConfiguration", "c-filled-w", "admissionregistration.k8s.io/v1", webhooks=[{"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://x/"}, "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]}])),
        ("cluster role", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "", thing("ClusterRole", "c-filled-w", "rbac.authorization.k8s.io/v1", rules=[{"nonResourceURLs": ["/x"], "verbs": ["get"]}])),
    )  # fmt: skip
    for name, plural, group, body in made:
        s.post(name, f"{plural}?dryRun=All", body, group=group)
    return s.story


def stored() -> Story:
    """Kinds no controller touches, through some changes."""
    s = Script("stored", "/apis/scheduling.k8s.io/v1/priorityclasses/c-stored")
    s.post(
        "service",
        "services",
        thing("Service", "w", spec={"selector": {"app": "w"}, "ports": [{"name": "a", "port": 80}]}),
    )
    s.patch("service ports", "services/w", {"spec": {"ports": [{"name": "b", "port": 81}]}}, type=STRATEGIC)
    s.patch("service address", "services/w", {"spec": {"clusterIP": "10.96.77.77"}})
    s.patch("service selector", "services/w", {"spec": {"selector": None}})
    s.patch(
        "service apply",
        "services/w?fieldManager=m",
        thing("Service", "w", spec={"ports": [{"name": "a", "port": 80, "protocol": "TCP"}]}),
        type=APPLY,
    )
    s.get("service table", "services/w", accept=TABLE)
    s.delete("service delete", "services/w")
    event = thing(
        "Event",
        "e",
        involvedObject={"kind": "Pod", "name": "p", "namespace": "c-stored"},
        reason="Because",
        message="it is",
        type="Normal",
        count=1,
        firstTimestamp="2024-01-01T00:00:00Z",
        lastTimestamp="2024-01-01T00:00:00Z",
        source={"component": "c"},
    )
    s.post("event", "events", event)
    s.post("event again", "events", event)
    s.patch("event count", "events/e", {"count": 2, "lastTimestamp": "2024-01-01T00:00:05Z"}, type=STRATEGIC)
    s.get("events of a pod", "events?fieldSelector=involvedObject.name%3Dp,reason%3DBecause")
    s.get("events of another", "events?fieldSelector=involvedObject.name%3Dq")
    s.get("events of the new kind", "events/e", group="events.k8s.io/v1")
    s.get("events by a wrong field", "events?fieldSelector=message%3Dx")
    s.post(
        "lease",
        "leases",
        thing(
            "Lease",
            "l",
            "coordination.k8s.io/v1",
            spec={
                "holderIdentity": "a",
                "leaseDurationSeconds": 15,
                "renewTime": "2024-01-01T00:00:00.000000Z",
            },
        ),
        group="coordination.k8s.io/v1",
    )
    s.patch("lease by a bad time", "leases/l", {"spec": {"renewTime": "now"}}, group="coordination.k8s.io/v1")
    s.patch(
        "lease holder",
        "leases/l",
        {"spec": {"holderIdentity": "b", "leaseTransitions": 1}},
        group="coordination.k8s.io/v1",
    )
    rb = "rbac.authorization.k8s.io/v1"
    s.post(
        "role binding",
        "rolebindings",
        thing(
            "RoleBinding",
            "r",
            rb,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            subjects=[{"kind": "User", "name": "u"}],
        ),
        group=rb,
    )
    s.patch("role ref is fixed", "rolebindings/r", {"roleRef": {"name": "other"}}, group=rb)
    s.post(
        "ingress",
        "ingresses",
        thing(
            "Ingress",
            "i",
            "networking.k8s.io/v1",
            spec={"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
        ),
        group="networking.k8s.io/v1",
    )
    s.patch(
        "ingress class", "ingresses/i", {"spec": {"ingressClassName": "nginx"}}, group="networking.k8s.io/v1"
    )
    s.patch(
        "ingress status",
        "ingresses/i/status",
        {"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}},
        group="networking.k8s.io/v1",
    )
    s.get("ingress table", "ingresses/i", group="networking.k8s.io/v1", accept=TABLE)
    s.post(
        "revision",
        "controllerrevisions",
        thing("ControllerRevision", "c", "apps/v1", revision=1, data={"x": 1}),
        group="apps/v1",
    )
    s.patch("revision data is fixed", "controllerrevisions/c", {"data": {"x": 2}}, group="apps/v1")
    s.patch("revision number", "controllerrevisions/c", {"revision": 2}, group="apps/v1")
    s.post(
        "priority class",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        thing("PriorityClass", "c-stored", "scheduling.k8s.io/v1", value=7),
    )
    s.patch("priority value is fixed", "/apis/scheduling.k8s.io/v1/priorityclasses/c-stored", {"value": 8})
    s.delete("priority class delete", "/apis/scheduling.k8s.io/v1/priorityclasses/c-stored")
    s.post(
        "network policy",
        "networkpolicies",
        thing(
            "NetworkPolicy", "n", "networking.k8s.io/v1", spec={"podSelector": {}, "policyTypes": ["Egress"]}
        ),
        group="networking.k8s.io/v1",
    )
    s.get("network policies", "networkpolicies", group="networking.k8s.io/v1")
    release = labelled(
        thing("Secret", "sh.helm.release.v1.web.v1", type="helm.sh/release.v1", data={"release": "eA=="}),
        owner="helm",
        name="web",
        status="pending-install",
        version="1",
    )
    s.post("helm release", "secrets", release)
    s.get(
        "helm finds its releases",
        "secrets?labelSelector=name%3Dweb,owner%3Dhelm,status%20in%20(deployed,pending-install)",
    )
    done = labelled(release, owner="helm", name="web", status="deployed", version="1")
    s.put("helm says deployed", "secrets/sh.helm.release.v1.web.v1", done)
    s.get("helm looks for another", "secrets?labelSelector=name%3Dother,owner%3Dhelm")
    s.get("secret table", "secrets/sh.helm.release.v1.web.v1", accept=TABLE)
    return s.story


def stories() -> tuple[Story, ...]:
    return filled(), stored()
