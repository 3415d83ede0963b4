"""Which pods `describe rollout` shows: those that a person looks for when a release does not go on."""

from __future__ import annotations

from typing import Any

from .cluster import Cluster, waiting
from .conftest import Kruise
from .test_pause_undo import _eventually

REPLICA_SETS = "/apis/apps/v1/namespaces/{ns}/replicasets"
PODS = "/api/v1/namespaces/{ns}/pods"


def _hashes(cluster: Cluster, ns: str) -> dict[str, str]:
    """pod-template-hash by image."""
    found = cluster.request("GET", REPLICA_SETS.format(ns=ns))["items"]
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["metadata"]["labels"][
            "pod-template-hash"
        ]
        for rs in found
    }


def _stuck_release(cluster: Cluster, ns: str) -> dict[str, str]:
    """A new version whose image cannot be pulled, beside stable pods that an earlier release has labelled."""
    cluster.deployment(ns, "busybox:1")
    _eventually(cluster, PODS.format(ns=ns), lambda found: found.count(b'"Running"') >= 2)
    for pod in cluster.request("GET", PODS.format(ns=ns))["items"]:
        label = {"metadata": {"labels": {"rollouts.kruise.io/rollout-batch-id": "1"}}}
        cluster.merge(f"{PODS.format(ns=ns)}/{pod['metadata']['name']}", label)
    cluster.image(ns, "busybox:not-exists")
    _eventually(
        cluster, PODS.format(ns=ns), lambda found: b"PullBackOff" in found or b"ErrImagePull" in found
    )
    hashes = _hashes(cluster, ns)
    status: Any = waiting(1)
    status["canaryStatus"] |= {"currentStepState": "StepUpgrade", "stableRevision": hashes["busybox:1"]}
    cluster.rollout(ns, status=status)
    return hashes


def _pods(out: str) -> list[list[str]]:
    rows = [line.split() for line in out.splitlines()]
    head = next((i for i, row in enumerate(rows) if row[:2] == ["NAME", "READY"]), len(rows))
    return rows[head + 1 :]


def test_a_step_that_cannot_become_ready_shows_the_new_pods_and_why_not_the_stable_ones(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    hashes = _stuck_release(plain, ns)
    for flag in ("", " --all"):
        pods = _pods(kruise(f"describe rollout web -n {ns}{flag}").out)
        assert pods, "the pod that fails is not shown"
        assert {row[2] for row in pods} == {hashes["busybox:not-exists"]}
        assert pods[0][-1] in ("ErrImagePull", "ImagePullBackOff")


def test_a_release_without_a_pod_yet_shows_none_rather_than_those_of_the_old_version(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    _stuck_release(plain, ns)
    path = f"/apis/apps/v1/namespaces/{ns}/deployments/web"
    plain.merge(path, {"spec": {"paused": True}})
    plain.image(ns, "busybox:3")  # its ReplicaSet is not made while the Deployment is paused
    assert _pods(kruise(f"describe rollout web -n {ns}").out) == []


def test_pods_of_an_earlier_batch_are_shown_with_all_only(plain: Cluster, ns: str, kruise: Kruise) -> None:
    hashes = _stuck_release(plain, ns)
    status: Any = waiting(2)
    status["canaryStatus"]["podTemplateHash"] = hashes["busybox:1"]
    plain.merge(f"/apis/rollouts.kruise.io/v1beta1/namespaces/{ns}/rollouts/web/status", {"status": status})
    assert _pods(kruise(f"describe rollout web -n {ns}").out) == []
    assert {row[3] for row in _pods(kruise(f"describe rollout web -n {ns} --all").out)} == {
        hashes["busybox:1"]
    }
