"""Helm installs, upgrades, rolls back and uninstalls on a sandbox: a small chart, and our own."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .process import ROOT, Program, program, sandbox

HELM = program("helm", "HELM")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.kubectl,
    pytest.mark.skipif(not HELM, reason="no helm in .tools, HELM or on PATH"),
]
CHART = "apiVersion: v2\nname: small\nversion: 0.1.0\n"
VALUES = 'image: "web:1"\nreplicas: 2\n'
TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: 60
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: main, image: {{ .Values.image | quote }}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-server}
data:
  version: {{ .Capabilities.KubeVersion.Version | quote }}
  default: {{ (lookup "v1" "Namespace" "" "default").kind | quote }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: pre-upgrade, helm.sh/hook-delete-policy: before-hook-creation}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "task:1"}]}}}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: buckets.clients.example.com}
spec:
  group: clients.example.com
  scope: Namespaced
  names: {plural: buckets, singular: bucket, kind: Bucket}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
OBJECT = "\n---\napiVersion: clients.example.com/v1\nkind: Bucket\nmetadata: {name: one}\n"

Command = Callable[..., str]


@pytest.fixture
def helm(config: Path, ns: str, tmp_path: Path) -> Program:
    return Program(HELM, config, tmp_path, "-n", ns)


@pytest.fixture
def kubectl(config: Path, ns: str, tmp_path: Path) -> Program:
    return Program("kubectl", config, tmp_path, "-n", ns)


@pytest.fixture
def chart(tmp_path: Path) -> str:
    """A Deployment, what the templates were told of the server, and a hook."""
    folder = tmp_path / "small"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "values.yaml").write_text(VALUES)
    (folder / "templates" / "all.yaml").write_text(TEMPLATE)
    return str(folder)


def revisions(helm: Program) -> list[tuple[int, str]]:
    return [(r["revision"], r["status"]) for r in json.loads(helm("history", "web", "-o", "json"))]


def test_a_chart_is_installed_upgraded_rolled_back_and_uninstalled(
    helm: Program, kubectl: Program, chart: str
) -> None:
    assert "web:1" in helm("install", "web", chart, "--dry-run=server")
    assert "release: not found" in helm("status", "web", code=1)
    helm("install", "web", chart, "--wait", "--timeout", "60s")
    assert "v1.36" in kubectl("get", "cm", "web-server", "-o", "jsonpath={.data.version}")
    assert kubectl("get", "cm", "web-server", "-o", "jsonpath={.data.default}") == "Namespace"
    assert "STATUS: deployed" in helm("status", "web")
    helm("upgrade", "web", chart, "--set", "image=web:2", "--wait", "--timeout", "60s")
    assert (
        kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "web:2"
    )
    helm("rollback", "web", "1", "--wait", "--timeout", "60s")
    assert (
        kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].image}")
        == "web:1 web:1"
    )
    assert revisions(helm) == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert 'image: "web:1"' in helm("get", "manifest", "web")
    assert "cannot re-use a name" in helm("install", "web", chart, code=1)
    helm("uninstall", "web", "--wait", "--timeout", "60s")
    assert "No resources found" in kubectl("get", "deploy,secret,rs", "-l", "owner!=x")


def test_an_upgrade_that_fails_is_taken_back_when_asked(helm: Program, kubectl: Program, chart: str) -> None:
    helm("install", "web", chart, "--wait", "--timeout", "60s")
    flags = ("--atomic", "--timeout", "8s")
    assert "has been rolled back" in helm(
        "upgrade", "web", chart, "--set", "image=web:failed", *flags, code=1
    )
    assert revisions(helm) == [(1, "superseded"), (2, "failed"), (3, "deployed")]
    assert (
        kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "web:1"
    )
    refused = helm("upgrade", "web", chart, "--set", "replicas=many", code=1)
    assert "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas" in refused


def test_a_chart_brings_its_own_kind(helm: Program, kubectl: Program, chart: str) -> None:
    crds = Path(chart, "crds")
    crds.mkdir()
    (crds / "bucket.yaml").write_text(DEFINITION)
    with Path(chart, "templates", "all.yaml").open("a") as template:
        template.write(OBJECT)
    helm("install", "web", chart, "--wait", "--timeout", "60s")
    assert "one" in kubectl("get", "buckets")
    helm("uninstall", "web")
    assert "No resources found" in kubectl("get", "buckets")
    kubectl("delete", "crd", "buckets.clients.example.com")


def test_releases_are_kept_in_secrets_that_others_can_read(
    helm: Program, kubectl: Program, chart: str
) -> None:
    helm("install", "web", chart)
    secrets = json.loads(kubectl("get", "secret", "-l", "owner=helm,name=web,status=deployed", "-o", "json"))
    (secret,) = secrets["items"]
    assert (secret["type"], secret["metadata"]["name"]) == ("helm.sh/release.v1", "sh.helm.release.v1.web.v1")
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    release: dict[str, Any] = json.loads(gzip.decompress(packed))
    assert (release["name"], release["version"], release["info"]["status"]) == ("web", 1, "deployed")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Program]]:
    """helm and kubectl on a sandbox without our controller."""
    home = tmp_path_factory.mktemp("bare")
    with sandbox("--rate", "20", "--no-controller") as config:
        yield Program(HELM, config, home), Program("kubectl", config, home)


def test_our_own_chart_is_installed_upgraded_rolled_back_and_uninstalled(
    bare: tuple[Program, Program],
) -> None:
    helm, kubectl = bare
    chart = str(ROOT / "charts" / "kruise-rollout")
    manager = ("-n", "kruise-rollout", "get", "deploy", "kruise-rollout-controller-manager", "-o")
    wait = ("--wait", "--timeout", "60s")
    helm("install", "kruise", chart, "--create-namespace", *wait)
    kubectl("wait", "--for=condition=Established", "crd/rollouts.rollouts.kruise.io", "--timeout=30s")
    assert kubectl(*manager, "jsonpath={.status.readyReplicas}") == "2"
    helm("upgrade", "kruise", chart, "--set", "replicaCount=1", *wait)
    assert kubectl(*manager, "jsonpath={.spec.replicas}") == "1"
    helm("rollback", "kruise", "1", *wait)
    assert kubectl(*manager, "jsonpath={.spec.replicas}") == "2"
    assert "rollouts.rollouts.kruise.io" in helm("uninstall", "kruise", *wait)
    assert "NotFound" in kubectl("get", "ns", "kruise-rollout", code=1)
    assert "rollouts.rollouts.kruise.io" in kubectl("get", "crd", "-o", "name")
