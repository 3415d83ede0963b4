"""Status, scale, eviction, binding, tokens, reviews and roles."""

from __future__ import annotations

from .asking import APPLY, STRATEGIC, Story
from .script import Script, config, labelled, thing


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


def stories() -> tuple[Story, ...]:
    return (subresources(),)
