"""The walk-through with real programs only: kubectl, its plugin, and a sandbox that was started as people start it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .process import ROOT, Program, program, sandbox

OLD, CURRENT = program("kubectl-1.20", "KUBECTL_OLD"), program("kubectl", "KUBECTL")
KUBECTLS = [path for path in (CURRENT, OLD) if path]
pytestmark = [pytest.mark.slow, pytest.mark.kubectl]
BUSYBOX = str(ROOT / "docs" / "guide" / "busybox.yaml")
PODS = "jsonpath={range .items[*].spec.containers[*].env[*]}{.value}{' '}{end}"


@pytest.fixture(params=KUBECTLS, ids=lambda path: Path(path).name)
def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """kubectl on a sandbox of its own, at 20 times the speed: a pause of a minute takes three seconds."""
    with sandbox("--rate", "20") as config:
        yield Program(request.param, config, tmp_path)


@pytest.fixture
def released(kubectl: Program) -> Program:
    """The same where version 5 has ten pods."""
    kubectl("apply", "-f", BUSYBOX)
    finished(kubectl)
    kubectl("wait", "--for=condition=Available", "deployment/busybox", "--timeout=60s")
    return kubectl


def pods(kubectl: Program) -> dict[str, int]:
    """How many pods run which version."""
    versions = kubectl("get", "pod", "-l", "app=busybox", "-o", PODS).split()
    return {version.removeprefix("version-"): versions.count(version) for version in set(versions)}


def paused(kubectl: Program) -> str:
    """Follows the release until it waits for a person; what was printed."""
    return kubectl(
        "kruise", "rollout", "status", "rollout/busybox", "--exit-on-pause", "--timeout=60s", code=3
    )


def finished(kubectl: Program, code: int = 0) -> str:
    return kubectl("kruise", "rollout", "status", "rollout/busybox", "--timeout=120s", code=code)


def up_to_date(kubectl: Program) -> str:
    """The column of that name, as people read it."""
    head, row = kubectl("get", "deployment", "busybox").splitlines()
    return dict(zip(head.split(), row.split(), strict=True))["UP-TO-DATE"]


def change(kubectl: Program, version: int) -> str:
    return kubectl("set", "env", "deployment/busybox", f"VERSION=version-{version}")


def test_a_release_is_approved_paused_and_finished(kubectl: Program) -> None:
    said = kubectl("apply", "-f", BUSYBOX)
    assert "deployment.apps/busybox created" in said and "rollout.rollouts.kruise.io/busybox created" in said
    finished(kubectl)
    kubectl("wait", "--for=condition=Available", "deployment/busybox", "--timeout=60s")
    assert pods(kubectl) == {"5": 10}

    said = change(kubectl, 2)
    assert "Rollout busybox holds this update: step 1 of 3 gives 1 of 10 pods the new version" in said
    paused(kubectl)
    assert pods(kubectl) == {"5": 9, "2": 1}
    assert up_to_date(kubectl) == "1"
    assert "StepPaused" in kubectl("get", "rollout", "busybox")
    assert "until approved" in kubectl("kruise", "describe", "rollout", "busybox")

    kubectl("kruise", "rollout", "approve", "rollout/busybox")
    seen = halfway(kubectl)
    assert seen == {"5": 5, "2": 5}
    finished(kubectl)
    assert pods(kubectl) == {"2": 10}
    assert up_to_date(kubectl) == "10"
    assert len(re.findall(r"^\d+ ", kubectl("rollout", "history", "deployment/busybox"), re.M)) == 2


def halfway(kubectl: Program) -> dict[str, int]:
    """The pods once the second step, which waits for a minute only, is reached."""
    step = "jsonpath={.status.canaryStatus.currentStepIndex} {.status.canaryStatus.currentStepState}"
    return reached(
        lambda: kubectl("get", "rollout", "busybox", "-o", step) == "2 StepPaused", lambda: pods(kubectl)
    )


def reached(there: Callable[[], bool], look: Callable[[], dict[str, int]]) -> dict[str, int]:
    for _ in range(200):
        if there():
            return look()
    raise AssertionError("it was never seen")


def test_a_third_version_in_the_middle_takes_the_place_of_the_second(released: Program) -> None:
    kubectl = released
    change(kubectl, 6)
    paused(kubectl)
    assert pods(kubectl) == {"5": 9, "6": 1}
    change(kubectl, 7)
    paused(kubectl)
    assert pods(kubectl) == {"5": 9, "7": 1}
    kubectl("kruise", "rollout", "approve", "rollout/busybox")
    assert halfway(kubectl) == {"5": 5, "7": 5}
    finished(kubectl)
    assert pods(kubectl) == {"7": 10}


def test_an_undo_gives_all_pods_the_old_version_back(released: Program) -> None:
    kubectl = released
    change(kubectl, 8)
    paused(kubectl)
    assert pods(kubectl) == {"5": 9, "8": 1}
    assert "rolled back" in kubectl("kruise", "rollout", "undo", "deployment/busybox")
    assert "was rolled back" in finished(kubectl, code=1)
    kubectl("wait", "--for=condition=Available", "deployment/busybox", "--timeout=60s")
    assert pods(kubectl) == {"5": 10}


def test_a_release_survives_what_people_do_besides(released: Program) -> None:
    kubectl = released
    change(kubectl, 9)
    paused(kubectl)
    kubectl("scale", "deployment/busybox", "--replicas=20")
    kubectl("annotate", "deployment", "busybox", "note=x")
    kubectl("delete", "pod", "-l", "app=busybox", "--field-selector=spec.nodeName=node-0", "--wait=false")
    kubectl("kruise", "rollout", "approve", "rollout/busybox")
    assert halfway(kubectl) == {"5": 10, "9": 10}
    finished(kubectl)
    assert pods(kubectl) == {"9": 20}
    kubectl("delete", "-f", BUSYBOX)
    assert "No resources found" in kubectl("get", "deployments,rollouts,batchreleases,replicasets")


def test_the_commands_of_the_readme_can_be_pasted(kubectl: Program) -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"^## By hand\n.*?```\n(.*?)```", readme, re.DOTALL | re.MULTILINE)
    assert found
    pasted = [line for line in found[1].splitlines() if not line.startswith("export ")]
    shell = f'cd "{ROOT}"; kubectl() {{ "{kubectl.path}" "$@"; }}\n'
    said = Program("bash", kubectl.config, kubectl.home).run("-c", shell + "\n".join(pasted))
    assert "error" not in said.all
    assert "rollout.rollouts.kruise.io/busybox approved" in said.out
    assert "deployment.apps/busybox rolled back" in said.out
