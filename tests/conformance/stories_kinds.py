"""Custom resources, subresources, and built-in kinds: what is filled in, what is refused, what is shown."""

from __future__ import annotations

from typing import Any

from .asking import APPLY, JSON_PATCH, META, STRATEGIC, TABLE, Story
from .script import Script, config, labelled, thing

GROUP = "conformance.example.com"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "mode": {"type": "string", "enum": ["A", "B"], "default": "A"},
                "word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "port": {"x-kubernetes-int-or-string": True},
                "when": {"type": "string", "format": "date-time"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "n": {"type": "integer", "default": 1}},
                    },
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is fixed"}]},
            },
            "x-kubernetes-validations": [{"rule": "self.mode == 'A' || self.size < 5", "message": "B is small"}],
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}, "word": {"type": "string"}}},
    },
}  # fmt: skip


def crd(plural: str, kind: str, **version: Any) -> dict[str, Any]:
    served = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _SCHEMA},
        **version,
    }
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {
            "plural": plural,
            "singular": kind.lower(),
            "kind": kind,
            "shortNames": [kind.lower()[:3]],
            "categories": ["all"],
        },
        "versions": [served],
    }
    return thing("CustomResourceDefinition", f"{plural}.{GROUP}", "apiextensions.k8s.io/v1", spec=spec)


def a_thing(name: str, **spec: Any) -> dict[str, Any]:
    return thing("Thing", name, f"{GROUP}/v1", spec={"size": 1, **spec})


def custom() -> Story:
    s = Script("custom", f"{CRDS}/things.{GROUP}")
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Word", "type": "string", "jsonPath": ".spec.word", "priority": 1},
        {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    sub = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.size",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    g = f"{GROUP}/v1"
    s.get("before", "things", group=g)
    s.post("create the CRD", CRDS, crd("things", "Thing", additionalPrinterColumns=columns, subresources=sub))
    s.get("established", f"{CRDS}/things.{GROUP}", until=("status.conditions.1.status", "True"))
    s.get("served", "things", group=g, until=(200, None))
    s.get("discovery", f"/apis/{g}", until=(200, None))
    s.get("group", f"/apis/{GROUP}", until=(200, None))
    s.post("create", "things", a_thing("a", parts=[{"name": "p"}]), group=g)
    s.post("create pruned", "things", a_thing("pruned", unknown=1, free={"x": [1]}), group=g)
    s.post(
        "create strictly",
        "things?fieldValidation=Strict",
        a_thing("strict", unknown=1, parts=[{"name": "x", "no": 1}]),
        group=g,
    )
    for name, spec in (
        ("too small", {"size": 0}), ("too large", {"size": 11}), ("text", {"size": "3"}), ("fraction", {"size": 1.5}), ("whole fraction", {"size": 2.0}), ("null", {"size": None}),
        ("enum", {"mode": "C"}), ("null default", {"mode": None}), ("pattern", {"word": "X1"}), ("long", {"word": "abcdef"}), ("port text", {"port": "80%"}), ("port bool", {"port": True}),
        ("bad time", {"when": "now"}), ("good time", {"when": "2024-01-01T00:00:00Z"}), ("set twice", {"tags": ["a", "a"]}), ("many", {"tags": ["a", "b", "c", "d"]}),
        ("key twice", {"parts": [{"name": "a"}, {"name": "a"}]}), ("no key", {"parts": [{"n": 1}]}), ("rule", {"mode": "B", "size": 6}), ("list for object", {"free": []}), ("several", {"size": 0, "mode": "C", "tags": [1]}),
    ):  # fmt: skip
        s.post(f"spec {name}", "things?dryRun=All", a_thing("v", **spec), group=g)
    s.post("no spec", "things?dryRun=All", thing("Thing", "nospec", g), group=g)
    s.post("spec a text", "things?dryRun=All", thing("Thing", "x", g, spec="x"), group=g)
    s.post("no size", "things?dryRun=All", thing("Thing", "x", g, spec={}), group=g)
    s.post("another kind", "things", thing("Other", "x", g), group=g)
    s.post("another version", "things", thing("Thing", "x", f"{GROUP}/v2"), group=g)
    s.post("no kind", "things", {"metadata": {"name": "x"}, "spec": {"size": 1}}, group=g)
    s.post("a bad name", "things", a_thing("Bad_Name"), group=g)
    s.post("not JSON", "things", raw="{", group=g)
    s.post(
        "labels of numbers",
        "things",
        {**a_thing("l"), "metadata": {"name": "l", "labels": {"a": 1}}},
        group=g,
    )
    s.post(
        "a field twice",
        "things?fieldValidation=Strict",
        raw='{"apiVersion":"conformance.example.com/v1","kind":"Thing","metadata":{"name":"d"},"spec":{"size":1,"size":2}}',
        group=g,
    )
    s.post(
        "YAML",
        "things",
        raw=f"apiVersion: {g}\nkind: Thing\nmetadata: {{name: yaml}}\nspec: {{size: 2, word: abc}}\n",
        type="application/yaml",
        group=g,
    )
    t = "things/a"
    s.get("get", t, group=g)
    s.patch("merge", t, {"spec": {"word": "abc", "fixed": "f"}}, group=g)
    s.patch("change the fixed", t, {"spec": {"fixed": "g"}}, group=g)
    s.patch("merge null of a default", t, {"spec": {"mode": None}}, group=g)
    s.patch("strategic", t, {"spec": {"size": 2}}, type=STRATEGIC, group=g)
    s.patch("json", t, [{"op": "add", "path": "/spec/tags", "value": ["x"]}], type=JSON_PATCH, group=g)
    s.patch("unknown field strictly", f"{t}?fieldValidation=Strict", {"spec": {"nope": 1}}, group=g)
    s.patch(
        "apply",
        f"{t}?fieldManager=m1",
        a_thing("a", size=3, parts=[{"name": "q"}], tags=["y"]),
        type=APPLY,
        group=g,
    )
    s.patch(
        "apply by force",
        f"{t}?fieldManager=m1&force=true",
        a_thing("a", size=3, parts=[{"name": "q"}], tags=["y"]),
        type=APPLY,
        group=g,
    )
    s.patch(
        "apply by another",
        f"{t}?fieldManager=m2",
        a_thing("a", size=3, parts=[{"name": "q", "n": 5}, {"name": "r"}], tags=["z"]),
        type=APPLY,
        group=g,
    )
    s.patch("apply less", f"{t}?fieldManager=m1", a_thing("a", size=3), type=APPLY, group=g)
    s.patch("apply a new one", "things/new?fieldManager=m1", a_thing("new"), type=APPLY, group=g)
    s.put("update without a version", t, a_thing("a"), group=g)
    s.put("update of an absent one", "things/none", a_thing("none"), group=g)
    s.patch("status through the main path", t, {"status": {"word": "x"}}, group=g)
    s.patch(
        "status",
        f"{t}/status",
        {"status": {"word": "x", "replicas": 2, "selector": "a=b", "no": 1}, "spec": {"size": 9}},
        group=g,
    )
    s.get("get status", f"{t}/status", group=g)
    s.patch("status of a wrong type", f"{t}/status", {"status": {"word": 1}}, group=g)
    s.patch(
        "status by apply",
        f"{t}/status?fieldManager=st",
        thing("Thing", "a", g, status={"word": "y"}),
        type=APPLY,
        group=g,
    )
    s.get("scale", f"{t}/scale", group=g)
    s.patch("scale up", f"{t}/scale", {"spec": {"replicas": 4}}, group=g)
    s.patch("scale below", f"{t}/scale", {"spec": {"replicas": 0}}, group=g)
    s.put("scale by put", f"{t}/scale", thing("Scale", "a", "autoscaling/v1", spec={"replicas": 5}), group=g)
    s.put("scale by put of another kind", f"{t}/scale", a_thing("a"), group=g)
    s.get("scale of an absent one", "things/none/scale", group=g)
    s.get("table", "things", group=g, accept=TABLE)
    s.get("metadata", t, group=g, accept=META)
    s.get("list", "things?labelSelector=none", group=g)
    s.get("field selector", "things?fieldSelector=spec.size%3D1", group=g)
    s.get("by name", "things?fieldSelector=metadata.name%3Dnew", group=g)
    s.get("another version's path", "things", group=f"{GROUP}/v2")
    s.get("unknown subresource", f"{t}/frob", group=g)
    s.delete("delete", "things/new", group=g)
    s.delete("delete all", "things", group=g)
    s.delete("delete the CRD", f"{CRDS}/things.{GROUP}")
    s.get("the CRD goes", f"{CRDS}/things.{GROUP}", until=(404, None))
    s.get("not served", "things", group=g, until=(404, None))
    return s.story


def definitions() -> Story:
    s = Script("definitions")

    def refused(title: str, change: dict[str, Any], **version: Any) -> None:
        body = crd("frobs", "Frob", **version)
        s.post(title, f"{CRDS}?dryRun=All", {**body, "spec": {**body["spec"], **change}})

    refused("good", {})
    refused("no group", {"group": ""})
    refused("another group", {"group": "other.example.com"})
    refused("bad scope", {"scope": "Galaxy"})
    refused("no versions", {"versions": []})
    refused("bad plural", {"names": {"plural": "Frobs", "kind": "Frob"}})
    refused("no kind", {"names": {"plural": "frobs"}})
    refused("no storage", {}, storage=False)
    refused("no schema", {}, schema={})
    refused("bad version", {}, name="V1")
    for name, schema in (
        ("no type", {"properties": {}}), ("array", {"type": "array"}), ("array without items", {"type": "object", "properties": {"a": {"type": "array"}}}),
        ("unknown type", {"type": "object", "properties": {"a": {"type": "frob"}}}), ("metadata", {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        ("default of a wrong type", {"type": "object", "properties": {"a": {"type": "string", "default": 1}}}), ("unique", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}}}),
        ("map without keys", {"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}}),
        ("bad rule", {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self +"}]}}}),
        ("rule of a wrong type", {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self + 1 == 2"}]}}}),
        ("bad pattern", {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
        ("additional and properties", {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "string"}}}}),
    ):  # fmt: skip
        refused(f"schema: {name}", {}, schema={"openAPIV3Schema": schema})
    refused("column without path", {}, additionalPrinterColumns=[{"name": "A", "type": "string"}])
    refused(
        "column of a bad type", {}, additionalPrinterColumns=[{"name": "A", "type": "frob", "jsonPath": ".a"}]
    )
    refused("scale without paths", {}, subresources={"scale": {}})
    s.post("another name", CRDS, {**crd("frobs", "Frob"), "metadata": {"name": "other"}})
    s.get("absent", f"{CRDS}/none")
    return s.story


def subresources() -> Story:
    s = Script("subresources", controlled=True)
    pod = labelled(
        thing(
            "Pod",
            "p",
            spec={
                "schedulerName": "nobody",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [{"name": "a", "image": "a:1"}],
            },
        ),
        app="p",
    )
    s.post("create a pod", "pods", pod)
    s.patch(
        "status of the pod",
        "pods/p/status",
        {"status": {"phase": "Pending", "message": "x"}, "spec": {"nodeName": "n"}},
    )
    s.put(
        "status by put",
        "pods/p/status",
        {**pod, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
    )
    s.patch("image", "pods/p", {"spec": {"containers": [{"name": "a", "image": "a:2"}]}}, type=STRATEGIC)
    s.patch(
        "what cannot change",
        "pods/p",
        {"spec": {"containers": [{"name": "a", "command": ["x"]}]}},
        type=STRATEGIC,
    )
    s.patch(
        "another container", "pods/p", {"spec": {"containers": [{"name": "b", "image": "b"}]}}, type=STRATEGIC
    )
    eviction = thing("Eviction", "p", "policy/v1")
    s.post("evict of another name", "pods/p/eviction", {**eviction, "metadata": {"name": "q"}})
    s.post("evict of an absent pod", "pods/none/eviction", {**eviction, "metadata": {"name": "none"}})
    s.post("evict with a bad body", "pods/p/eviction", config("p"))
    s.post("evict dry run", "pods/p/eviction?dryRun=All", eviction)
    s.get("evict by get", "pods/p/eviction")
    s.post("evict", "pods/p/eviction", eviction)
    s.get("it goes", "pods/p", until=(404, None))
    s.post("create another pod", "pods", pod)
    binding = thing("Binding", "p", target={"kind": "Node", "name": "nowhere"})
    s.post("bind without a target", "pods/p/binding", thing("Binding", "p"))
    s.post("bind to a bad kind", "pods/p/binding", thing("Binding", "p", target={"kind": "Pod", "name": "x"}))
    s.post("bind an absent pod", "pods/none/binding", {**binding, "metadata": {"name": "none"}})
    s.post("bind dry run", "pods/p/binding?dryRun=All", binding)
    s.post("bind", "pods/p/binding", binding)
    s.post("bind again", "pods/p/binding", binding)
    s.patch(
        "ephemeral containers",
        "pods/p/ephemeralcontainers",
        {"spec": {"ephemeralContainers": [{"name": "e", "image": "e"}]}},
        type=STRATEGIC,
    )
    s.delete("delete the pod", "pods/p?gracePeriodSeconds=0")
    rs = {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        },
    }
    d = thing("Deployment", "d", "apps/v1", spec={**rs, "paused": True})
    a = "apps/v1"
    s.post("create a deployment", "deployments", d, group=a)
    s.get("its scale", "deployments/d/scale", group=a)
    s.patch("scale it", "deployments/d/scale", {"spec": {"replicas": 0}}, group=a)
    s.patch("scale it below zero", "deployments/d/scale", {"spec": {"replicas": -1}}, group=a)
    s.patch("scale with text", "deployments/d/scale", {"spec": {"replicas": "x"}}, group=a)
    s.put(
        "scale by put",
        "deployments/d/scale",
        thing("Scale", "d", "autoscaling/v1", spec={"replicas": 0}),
        group=a,
    )
    s.put(
        "scale another name",
        "deployments/d/scale",
        thing("Scale", "e", "autoscaling/v1", spec={"replicas": 0}),
        group=a,
    )
    s.put("scale with another kind", "deployments/d/scale", d, group=a)
    s.put(
        "scale of an old version",
        "deployments/d/scale",
        {
            **thing("Scale", "d", "autoscaling/v1", spec={"replicas": 0}),
            "metadata": {"name": "d", "resourceVersion": "1"},
        },
        group=a,
    )
    s.patch(
        "scale by apply",
        "deployments/d/scale?fieldManager=m&force=true",
        thing("Scale", "d", "autoscaling/v1", spec={"replicas": 0}),
        type=APPLY,
        group=a,
    )
    s.get("scale of an absent one", "deployments/none/scale", group=a)
    s.patch(
        "spec through status",
        "deployments/d/status",
        {"spec": {"replicas": 5}, "metadata": {"labels": {"x": "y"}}},
        group=a,
    )
    s.get("deployment", "deployments/d", group=a)
    s.patch(
        "selector cannot change",
        "deployments/d",
        {"spec": {"selector": {"matchLabels": {"x": "y"}}}},
        group=a,
    )
    s.patch(
        "labels must match",
        "deployments/d",
        {"spec": {"template": {"metadata": {"labels": {"app": "z"}}}}},
        group=a,
    )
    s.delete("delete the deployment", "deployments/d", group=a)
    s.post("create a service account", "serviceaccounts", thing("ServiceAccount", "sa"))
    s.post(
        "token",
        "serviceaccounts/sa/token",
        {"spec": {"expirationSeconds": 600}},
        save={"token": "status.token"},
    )
    s.post("token for too short", "serviceaccounts/sa/token", {"spec": {"expirationSeconds": 1}})
    s.post("token of an absent one", "serviceaccounts/none/token", {})
    s.get("with the token, not allowed", "configmaps", token="$token")
    s.post("with the token, not allowed either", "pods/p/eviction", eviction, token="$token")
    s.post(
        "what may I",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "spec": {
                "resourceAttributes": {
                    "namespace": "c-subresources",
                    "verb": "list",
                    "resource": "configmaps",
                }
            }
        },
        token="$token",
    )
    s.post(
        "role",
        "roles",
        thing(
            "Role",
            "r",
            "rbac.authorization.k8s.io/v1",
            rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "get"]}],
        ),
        group="rbac.authorization.k8s.io/v1",
    )
    s.post(
        "role binding",
        "rolebindings",
        thing(
            "RoleBinding",
            "r",
            "rbac.authorization.k8s.io/v1",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            subjects=[{"kind": "ServiceAccount", "name": "sa", "namespace": "c-subresources"}],
        ),
        group="rbac.authorization.k8s.io/v1",
    )
    s.get("with the token, allowed", "configmaps?labelSelector=none", token="$token", until=(200, None))
    s.post("with the token, create", "configmaps", config("x"), token="$token")
    s.post("who am I", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token="$token")
    s.post("review a token", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "nonsense"}})
    return s.story


def _workload(kind: str, version: str, **spec: Any) -> dict[str, Any]:
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
        ("deployment", "deployments", "apps/v1", _workload("Deployment", "apps/v1")),
        ("recreate", "deployments", "apps/v1", _workload("Deployment", "apps/v1", strategy={"type": "Recreate"})),
        ("replica set", "replicasets", "apps/v1", _workload("ReplicaSet", "apps/v1")),
        ("stateful set", "statefulsets", "apps/v1", _workload("StatefulSet", "apps/v1", serviceName="x", volumeClaimTemplates=[{"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}])),
        ("daemon set", "daemonsets", "apps/v1", _workload("DaemonSet", "apps/v1")),
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


def refused() -> Story:
    """What built-in kinds refuse."""
    s = Script("refused")
    apps, batch, net = "apps/v1", "batch/v1", "networking.k8s.io/v1"

    def dry(name: str, plural: str, body: dict[str, Any], group: str = "") -> None:
        s.post(name, f"{plural}?dryRun=All", body, group=group)

    def pod(**spec: Any) -> dict[str, Any]:
        return thing(
            "Pod",
            "w",
            spec={"automountServiceAccountToken": False, "containers": [{"name": "a", "image": "a"}], **spec},
        )

    dry("deployment without anything", "deployments", thing("Deployment", "w", apps), apps)
    dry("deployment with an empty spec", "deployments", thing("Deployment", "w", apps, spec={}), apps)
    dry(
        "labels do not match",
        "deployments",
        _workload("Deployment", apps, selector={"matchLabels": {"app": "x"}}),
        apps,
    )
    dry("negative replicas", "deployments", _workload("Deployment", apps, replicas=-1), apps)
    dry("unknown strategy", "deployments", _workload("Deployment", apps, strategy={"type": "Frob"}), apps)
    dry(
        "nothing may move",
        "deployments",
        _workload("Deployment", apps, strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        apps,
    )
    dry(
        "surge beyond",
        "deployments",
        _workload("Deployment", apps, strategy={"rollingUpdate": {"maxUnavailable": "120%"}}),
        apps,
    )
    dry(
        "surge of words",
        "deployments",
        _workload("Deployment", apps, strategy={"rollingUpdate": {"maxSurge": "some"}}),
        apps,
    )
    dry(
        "recreate with rolling",
        "deployments",
        _workload("Deployment", apps, strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        apps,
    )
    dry(
        "deadline too near",
        "deployments",
        _workload("Deployment", apps, minReadySeconds=10, progressDeadlineSeconds=5),
        apps,
    )
    dry("replicas text", "deployments", _workload("Deployment", apps, replicas="3"), apps)
    dry(
        "restart policy in a template",
        "deployments",
        _workload(
            "Deployment",
            apps,
            template={
                "metadata": {"labels": {"app": "w"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]},
            },
        ),
        apps,
    )
    dry(
        "daemon set surge",
        "daemonsets",
        _workload(
            "DaemonSet",
            apps,
            updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}},
        ),
        apps,
    )
    dry(
        "stateful set policy",
        "statefulsets",
        _workload("StatefulSet", apps, podManagementPolicy="Frob"),
        apps,
    )
    dry("no containers", "pods", thing("Pod", "w", spec={}))
    dry("container without a name", "pods", pod(containers=[{"image": "a"}]))
    dry("container without an image", "pods", pod(containers=[{"name": "a"}]))
    dry("container twice", "pods", pod(containers=[{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]))
    dry("bad container name", "pods", pod(containers=[{"name": "A_b", "image": "a"}]))
    dry(
        "bad port", "pods", pod(containers=[{"name": "a", "image": "a", "ports": [{"containerPort": 70000}]}])
    )
    dry(
        "bad quantity",
        "pods",
        pod(containers=[{"name": "a", "image": "a", "resources": {"limits": {"cpu": "lots"}}}]),
    )
    dry(
        "request over limit",
        "pods",
        pod(
            containers=[
                {"name": "a", "image": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}
            ]
        ),
    )
    dry(
        "mount of an absent volume",
        "pods",
        pod(containers=[{"name": "a", "image": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]),
    )
    dry("unknown restart policy", "pods", pod(restartPolicy="Sometimes"))
    dry(
        "unknown pull policy",
        "pods",
        pod(containers=[{"name": "a", "image": "a", "imagePullPolicy": "Maybe"}]),
    )
    dry("negative grace", "pods", pod(terminationGracePeriodSeconds=-1))
    dry("bad env name", "pods", pod(containers=[{"name": "a", "image": "a", "env": [{"name": "a=b"}]}]))
    dry("probe of nothing", "pods", pod(containers=[{"name": "a", "image": "a", "livenessProbe": {}}]))
    dry("service without ports", "services", thing("Service", "w", spec={}))
    dry("service with a bad port", "services", thing("Service", "w", spec={"ports": [{"port": 0}]}))
    dry(
        "service with two unnamed ports",
        "services",
        thing("Service", "w", spec={"ports": [{"port": 1}, {"port": 2}]}),
    )
    dry(
        "service of an unknown type",
        "services",
        thing("Service", "w", spec={"type": "Frob", "ports": [{"port": 1}]}),
    )
    dry("service name", "services", thing("Service", "9w", spec={"ports": [{"port": 1}]}))
    dry(
        "service with an address",
        "services",
        thing("Service", "w", spec={"clusterIP": "1.2.3", "ports": [{"port": 1}]}),
    )
    dry("ingress without a rule", "ingresses", thing("Ingress", "w", net, spec={}), net)
    dry(
        "ingress path",
        "ingresses",
        thing(
            "Ingress",
            "w",
            net,
            spec={
                "rules": [
                    {
                        "http": {
                            "paths": [
                                {
                                    "path": "x",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                }
                            ]
                        }
                    }
                ]
            },
        ),
        net,
    )
    dry(
        "job restarts always",
        "jobs",
        thing("Job", "w", batch, spec={"template": {"spec": {"containers": [{"name": "a", "image": "a"}]}}}),
        batch,
    )
    dry(
        "job of negative parallelism",
        "jobs",
        thing(
            "Job",
            "w",
            batch,
            spec={
                "parallelism": -1,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}},
            },
        ),
        batch,
    )
    dry(
        "cron schedule",
        "cronjobs",
        thing(
            "CronJob",
            "w",
            batch,
            spec={
                "schedule": "never",
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
                        }
                    }
                },
            },
        ),
        batch,
    )
    dry(
        "budget of both",
        "poddisruptionbudgets",
        thing("PodDisruptionBudget", "w", "policy/v1", spec={"minAvailable": 1, "maxUnavailable": 1}),
        "policy/v1",
    )
    dry(
        "autoscaler the wrong way",
        "horizontalpodautoscalers",
        thing(
            "HorizontalPodAutoscaler",
            "w",
            "autoscaling/v2",
            spec={"minReplicas": 5, "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "w"}},
        ),
        "autoscaling/v2",
    )
    dry(
        "autoscaler without a target",
        "horizontalpodautoscalers",
        thing("HorizontalPodAutoscaler", "w", "autoscaling/v2", spec={"maxReplicas": 3}),
        "autoscaling/v2",
    )
    dry(
        "claim without a size",
        "persistentvolumeclaims",
        thing("PersistentVolumeClaim", "w", spec={"accessModes": ["ReadWriteOnce"]}),
    )
    dry("quota of rubbish", "resourcequotas", thing("ResourceQuota", "w", spec={"hard": {"pods": "-1"}}))
    dry(
        "role of nothing",
        "roles",
        thing(
            "Role",
            "w",
            "rbac.authorization.k8s.io/v1",
            rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": []}],
        ),
        "rbac.authorization.k8s.io/v1",
    )
    dry(
        "binding to nothing",
        "rolebindings",
        thing("RoleBinding", "w", "rbac.authorization.k8s.io/v1", roleRef={}),
        "rbac.authorization.k8s.io/v1",
    )
    dry(
        "lease of no time",
        "leases",
        thing("Lease", "w", "coordination.k8s.io/v1", spec={"leaseDurationSeconds": 0}),
        "coordination.k8s.io/v1",
    )
    dry(
        "event about elsewhere",
        "events",
        thing("Event", "w", involvedObject={"kind": "Pod", "name": "p", "namespace": "other"}),
    )
    dry("namespace name", "/api/v1/namespaces", thing("Namespace", "a.b"))
    dry("unknown priority", "pods", pod(priorityClassName="none"))
    dry("unknown service account", "pods", pod(serviceAccountName="none"))
    dry(
        "webhook without anything",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        thing(
            "ValidatingWebhookConfiguration",
            "c-w",
            "admissionregistration.k8s.io/v1",
            webhooks=[{"name": "a"}],
        ),
    )
    twice = [{"name": "E", "value": "1"}, {"name": "F"}, {"name": "E", "value": "2"}]
    dry("a variable twice", "pods", pod(containers=[{"name": "a", "image": "a", "env": twice}]))
    port = [{"containerPort": 80}]
    dry(
        "a port three times",
        "pods",
        pod(containers=[{"name": n, "image": "a", "ports": port} for n in "abc"]),
    )
    host = [{"containerPort": 80, "hostPort": 80}]
    dry(
        "a port of the host",
        "pods",
        pod(containers=[{"name": n, "image": "a", "ports": p} for n, p in (("a", host), ("b", port))]),
    )
    s.post("endpoints are deprecated", "endpoints?dryRun=All", thing("Endpoints", "w"))
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
    return custom(), definitions(), subresources(), filled(), refused(), stored()
