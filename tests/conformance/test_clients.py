"""An old and a current kubectl work with a sandbox that runs as a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OLD = os.environ.get("KUBECTL_OLD") or str(Path(__file__).resolve().parents[2] / ".tools" / "kubectl-1.20")
KUBECTLS = [name for name in (shutil.which("kubectl") or "", OLD) if name and Path(name).exists()]
pytestmark = [pytest.mark.kubectl, pytest.mark.slow]
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "web:1"}]}
"""


@pytest.fixture(scope="module")
def config() -> Iterator[str]:
    command = [
        str(Path(sys.executable).with_name("kruise-rollout")),
        "sandbox",
        "--rate",
        "20",
        "--no-controller",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            found = re.search(r"KUBECONFIG=(\S+)", line)
            if found:
                break
        assert found, "the sandbox did not say where its kubeconfig is"
        yield found[1].strip("'\"")
        process.terminate()


class Kubectl:
    """Runs one kubectl in a namespace of its own."""

    def __init__(self, program: str, config: str, folder: Path) -> None:
        self._program = program
        self._env = {**os.environ, "KUBECONFIG": config, "HOME": str(folder)}
        self.ns = "old" if program == OLD else "current"

    def __call__(self, *words: str, stdin: str = "", code: int = 0, **env: str) -> str:
        """What it prints; it must end with `code`."""
        done = subprocess.run(
            [self._program, "-n", self.ns, *words],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            env={**self._env, **env},
            timeout=60,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.mark.parametrize("program", KUBECTLS)
def test_a_deployment_is_released_edited_undone_and_deleted_by_hand(
    program: str, config: str, tmp_path: Path
) -> None:
    kubectl = Kubectl(program, config, tmp_path)
    kubectl("create", "namespace", kubectl.ns)
    assert "deployment.apps/web created" in kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "2/2" in kubectl("get", "deployment", "web")
    assert kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}") == "web:1 web:1"
    changed = MANIFEST.replace("web:1", "web:2")
    assert "web:2" in kubectl("diff", "-f", "-", stdin=changed, code=1)
    kubectl("apply", "-f", "-", stdin=changed)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "RollingUpdate" in kubectl("describe", "deployment", "web")
    assert kubectl("rollout", "history", "deployment/web").count("<none>") == 2
    kubectl("edit", "deployment", "web", EDITOR="sed -i s/web:2/web:3/")
    assert "web:3" in kubectl("get", "deployment", "web", "-o", "yaml")
    assert "rolled back" in kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl("scale", "deployment", "web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "--for=condition=available", "deployment/web", "--timeout=60s")
    pods = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].image}")
    assert pods.split() == ["web:1"] * 3
    assert "deleted" in kubectl("delete", "deployment", "web", "--cascade=foreground")
    assert "No resources found" in kubectl("get", "pods,replicasets")


@pytest.mark.parametrize("program", KUBECTLS)
def test_rights_metrics_and_drains_are_answered(program: str, config: str, tmp_path: Path) -> None:
    kubectl = Kubectl(program, config, tmp_path)
    assert kubectl("auth", "can-i", "create", "deployments").strip() == "yes"
    assert "Metrics API not available" in kubectl("top", "nodes", code=1)
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    assert "drained" in kubectl("drain", node, "--ignore-daemonsets")
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    assert "uncordoned" in kubectl("uncordon", node)
