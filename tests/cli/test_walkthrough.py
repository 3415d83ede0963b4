"""The walk-through with the plugin alone, in both API versions, with the controller at work."""

from __future__ import annotations

import pytest

from kruise_rollouts.cli.kubectl_kruise import main

from .cluster import Cluster
from .conftest import numbers


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rollout", "rollouts.v1alpha1.rollouts.kruise.io"])
def test_a_release_is_approved_followed_and_undone(
    managed: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(managed.kubeconfig))
    ns = f"w{next(numbers)}"

    def run(line: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([*line.split(), "-n", ns])
        seen = capsys.readouterr()
        return code, seen.out if code == 0 else seen.out + seen.err

    def image() -> str:
        found = managed.request("GET", f"/apis/apps/v1/namespaces/{ns}/deployments/web")
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    managed.namespace(ns)
    managed.deployment(ns)
    managed.rollout(ns)
    assert run(f"rollout status {kind}/web --timeout=20s")[0] == 0

    managed.image(ns, "busybox:2")
    code, said = run(f"rollout status {kind}/web --exit-on-pause --timeout=20s")
    assert code == 3, said
    assert run(f"rollout approve {kind}/web") == (0, "rollout.rollouts.kruise.io/web approved\n")
    code, said = run(f"rollout status {kind}/web --timeout=20s")
    assert code == 0, said
    assert 'rollout "web" successfully rolled out' in said

    managed.image(ns, "busybox:3")
    assert run(f"rollout status {kind}/web --exit-on-pause --timeout=20s")[0] == 3
    assert run(f"rollout undo {kind}/web") == (0, "deployment.apps/web rolled back\n")
    assert image() == "busybox:2"
    code, said = run(f"rollout status {kind}/web --timeout=20s")
    assert code == 1
    assert "was rolled back" in said

    managed.image(ns, "busybox:4")
    assert run(f"rollout status {kind}/web --exit-on-pause --timeout=20s")[0] == 3
    assert run(f"rollout jump {kind}/web --to 3")[0] == 0
    assert run(f"rollout status {kind}/web --timeout=20s")[0] == 0
    assert image() == "busybox:4"
