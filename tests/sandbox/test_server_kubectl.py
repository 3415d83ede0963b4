"""A day with kubectl against the sandbox. KUBECTL names another kubectl than the one on PATH."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.wire.listen import Listener, kubeconfig, make_identity, write_kubeconfig

pytestmark = [pytest.mark.kubectl, pytest.mark.slow]

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: main, image: nginx}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
"""

DAY = """
create namespace team
-n team create deployment web --image=nginx --replicas=2
-n team rollout status deployment/web --timeout=20s
-n team set image deployment/web nginx=nginx:2
-n team rollout status deployment/web --timeout=20s
-n team rollout history deployment/web
-n team rollout undo deployment/web
-n team scale deployment/web --replicas=3
-n team label deployment/web a=b
-n team annotate deployment/web a=b
-n team patch deployment web -p {"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:3"}]}}}}
-n team patch deployment web --type=json -p [{"op":"replace","path":"/spec/replicas","value":2}]
-n team get all -o wide
-n team get deployment web -o yaml
-n team describe deployment web
-n team describe pods
-n team expose deployment web --port=80
-n team autoscale deployment web --min=2 --max=5
-n team create secret generic s --from-literal=a=b
-n team apply -f MANIFEST1
-n team apply -f MANIFEST2
-n team apply --server-side --force-conflicts -f MANIFEST2
-n team apply --dry-run=server -f MANIFEST1
-n team replace -f MANIFEST2
-n team wait --for=condition=Available deployment/app --timeout=20s
-n team delete -f MANIFEST2
cordon node-0
uncordon node-0
explain deployment.spec.strategy
api-resources
auth can-i get pods
-n team delete deployment web --cascade=foreground
delete namespace team --timeout=30s
"""


async def _kubectl(config: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        os.environ.get("KUBECTL", "kubectl"),
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "KUBECONFIG": str(config), "HOME": str(config.parent)},
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_a_day_with_kubectl(tmp_path: Path) -> None:
    clock = WallClock()
    sandbox, identity = Sandbox(clock, nodes=2), make_identity(clock.now())
    await sandbox.start()
    listener = Listener(sandbox.server, identity)
    await listener.start()
    config = tmp_path / "config"
    write_kubeconfig(config, kubeconfig(listener.url, identity, sandbox.token))
    for number in ("1", "2"):
        (tmp_path / f"m{number}.yaml").write_text(MANIFEST.replace("REPLICAS", number))
    failed = []
    try:
        for line in DAY.strip().splitlines():
            words = line.replace("MANIFEST1", str(tmp_path / "m1.yaml")).replace(
                "MANIFEST2", str(tmp_path / "m2.yaml")
            )
            code, out = await _kubectl(config, *words.split(" "))
            if code != 0:
                failed.append(f"kubectl {line}: {out}")
    finally:
        await listener.stop()
        await sandbox.stop()
    assert not failed, "\n".join(failed)
