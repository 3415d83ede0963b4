"""Built-in kinds: what is refused."""

from __future__ import annotations

from typing import Any

from .asking import Story
from .script import Script, thing
from .stories_filled import workload


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
        workload("Deployment", apps, selector={"matchLabels": {"app": "x"}}),
        apps,
    )
    dry("negative replicas", "deployments", workload("Deployment", apps, replicas=-1), apps)
    dry("unknown strategy", "deployments", workload("Deployment", apps, strategy={"type": "Frob"}), apps)
    dry(
        "nothing may move",
        "deployments",
        workload("Deployment", apps, strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        apps,
    )
    dry(
        "surge beyond",
        "deployments",
        workload("Deployment", apps, strategy={"rollingUpdate": {"maxUnavailable": "120%"}}),
        apps,
    )
    dry(
        "surge of words",
        "deployments",
        workload("Deployment", apps, strategy={"rollingUpdate": {"maxSurge": "some"}}),
        apps,
    )
    dry(
        "recreate with rolling",
        "deployments",
        workload("Deployment", apps, strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        apps,
    )
    dry(
        "deadline too near",
        "deployments",
        workload("Deployment", apps, minReadySeconds=10, progressDeadlineSeconds=5),
        apps,
    )
    dry("replicas text", "deployments", workload("Deployment", apps, replicas="3"), apps)
    dry(
        "restart policy in a template",
        "deployments",
        workload(
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
        workload(
            "DaemonSet",
            apps,
            updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}},
        ),
        apps,
    )
    dry(
        "stateful set policy",
        "statefulsets",
        workload("StatefulSet", apps, podManagementPolicy="Frob"),
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


def stories() -> tuple[Story, ...]:
    return (refused(),)
