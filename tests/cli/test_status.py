"""status, describe and list: what is said, how long they follow, and what they exit with."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_rollouts.cli.session import Session

from .cluster import Cluster, waiting
from .conftest import Kruise

HEALTHY = {
    "phase": "Healthy", "message": "done", "observedGeneration": 1, "currentStepIndex": 3, "currentStepState": "Completed",
}  # fmt: skip
UNDONE = {
    **HEALTHY,
    "message": "canceled",
    "conditions": [{"type": "Succeeded", "status": "False", "reason": "Canceled", "message": ""}],
}


def _path(ns: str, name: str = "web") -> str:
    return f"/apis/rollouts.kruise.io/v1beta1/namespaces/{ns}/rollouts/{name}"


def _while_it_watches(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """`act()` once, when the command has looked and begins to watch."""
    real, done = Session.watch, []

    def watch(self: Session, *more: Any) -> Any:
        if not done:
            done.append(act())
        return real(self, *more)

    monkeypatch.setattr(Session, "watch", watch)


@pytest.mark.parametrize("kind", ["rollout", "rollouts.v1alpha1.rollouts.kruise.io"])
def test_a_finished_release_ends_with_0(plain: Cluster, ns: str, kruise: Kruise, kind: str) -> None:
    plain.rollout(ns, status=HEALTHY)
    said = kruise(f"rollout status {kind}/web -n {ns}")
    assert (said.code, said.out, said.err) == (0, 'rollout "web" successfully rolled out\n', "")


def test_a_release_that_was_rolled_back_ends_with_1(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=UNDONE)
    said = kruise(f"rollout status rollout/web -n {ns}")
    assert (said.code, said.out, said.err) == (1, "", 'error: rollout "web" was rolled back: canceled\n')


def test_a_step_that_waits_for_approval_can_end_it_with_3(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"rollout status rollout/web --exit-on-pause -n {ns}")
    assert (said.code, said.err) == (3, "")
    assert said.out.startswith('Waiting for rollout "web" to finish: step 1/3 StepPaused')


def test_one_look_ends_with_0_even_if_it_is_not_over(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"rollout status rollout/web --watch=false -n {ns}")
    assert said.code == 0
    assert said.out.count("\n") == 1


def test_it_gives_up_after_the_timeout(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"rollout status rollout/web --timeout=100ms -n {ns}")
    assert (said.code, said.err) == (1, "error: timed out waiting for the condition\n")


def test_it_follows_until_the_end_and_says_each_thing_once(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.rollout(ns, status=waiting(1))
    _while_it_watches(
        monkeypatch, lambda: plain.merge(f"{_path(ns)}/status", {"status": {**HEALTHY, "canaryStatus": None}})
    )
    said = kruise(f"rollout status rollout/web --timeout=20s -n {ns}")
    assert said.code == 0
    assert said.out.splitlines()[-1] == 'rollout "web" successfully rolled out'
    assert len(said.out.splitlines()) == 2


def test_a_server_that_ends_the_watch_is_asked_again(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.rollout(ns, status=waiting(1))
    asked: list[bool] = []

    def watch(self: Session, *more: Any) -> Any:
        asked.append(True)
        if len(asked) == 3:
            plain.merge(f"{_path(ns)}/status", {"status": {**HEALTHY, "canaryStatus": None}})
        return iter(())

    monkeypatch.setattr(Session, "watch", watch)
    said = kruise(f"rollout status rollout/web --timeout=20s -n {ns}")
    assert said.code == 0
    assert len(asked) == 3


def test_an_object_that_is_deleted_meanwhile_ends_it_with_1(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.rollout(ns, status=waiting(1))
    _while_it_watches(monkeypatch, lambda: plain.request("DELETE", _path(ns)))
    said = kruise(f"rollout status rollout/web --timeout=20s -n {ns}")
    assert (said.code, said.err) == (1, "error: object has been deleted\n")


@pytest.mark.parametrize("before", [HEALTHY, UNDONE])
def test_a_release_that_has_not_begun_yet_is_waited_for(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch, before: Any
) -> None:
    plain.deployment(ns)
    marked = {"metadata": {"annotations": {"rollouts.kruise.io/in-progressing": "{}"}}}
    plain.merge(f"/apis/apps/v1/namespaces/{ns}/deployments/web", marked)
    plain.rollout(ns, status=before)
    _while_it_watches(monkeypatch, lambda: plain.merge(f"{_path(ns)}/status", {"status": waiting(1)}))
    said = kruise(f"rollout status rollout/web --exit-on-pause --timeout=20s -n {ns}")
    assert said.code == 3
    assert said.out.startswith('Waiting for rollout "web" to begin with the new version...\n')


def test_a_deployment_is_followed_too_and_its_revision_can_be_pinned(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.deployment(ns)
    said = kruise(f"rollout status deployment/web --timeout=20s -n {ns}")
    assert (said.code, said.out.splitlines()[-1]) == (0, 'deployment "web" successfully rolled out')
    said = kruise(f"rollout status deployment/web --revision=5 -n {ns}")
    assert said.code == 1
    assert said.err == "error: desired revision (5) is different from the running revision (1)\n"


@pytest.mark.parametrize("kind", ["rollout/web", "web", "rollouts.v1alpha1.rollouts.kruise.io/web"])
@pytest.mark.parametrize("status", [None, waiting(1)])
def test_describe_reports_steps_and_says_that_the_workload_is_not_there(
    plain: Cluster, ns: str, kruise: Kruise, kind: str, status: Any
) -> None:
    plain.rollout(ns, status=status)
    said = kruise(f"describe rollout {kind} -n {ns}")
    rows = [line.split() for line in said.out.splitlines()]
    assert said.code == 0
    assert ["Name:", "web"] in rows
    assert ["Step:", "1/3" if status else "0/3"] in rows
    assert ["Workload:", "Deployment", "web", "does", "not", "exist"] in rows
    assert "\033" not in said.out


def test_describe_shows_the_counters_of_the_workload(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.deployment(ns)
    kruise(f"rollout status deployment/web --timeout=20s -n {ns}")
    plain.rollout(ns, status=waiting(1))
    rows = [line.split() for line in kruise(f"describe ro web -n {ns}").out.splitlines()]
    assert ["Desired:", "2"] in rows
    assert ["Ready:", "2"] in rows
    assert ["Images:", "busybox:1"] in rows


@pytest.mark.slow
def test_describe_gives_up_watching_after_its_timeout(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"describe rollout web -w --timeout=1 -n {ns}")
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert "Name:" in said.out


def test_list_shows_one_line_per_rollout(plain: Cluster, ns: str, kruise: Kruise) -> None:
    assert kruise(f"rollout list -n {ns}").err == f"No resources found in {ns} namespace.\n"
    plain.deployment(ns)
    kruise(f"rollout status deployment/web --timeout=20s -n {ns}")
    plain.rollout(ns, status=waiting(2))
    rows = [line.split() for line in kruise(f"rollout list -n {ns}").out.splitlines()]
    assert rows[0] == ["NAME", "STRATEGY", "STATUS", "STEP", "STATE", "UPDATED", "READY", "DESIRED"]
    assert rows[1] == ["web", "Partition", "Progressing", "2/3", "StepPaused", "2", "2", "2"]
    assert [ns, *rows[1]] in [line.split() for line in kruise("rollout list -A").out.splitlines()]


UNSERVED = ("apps.kruise.io/v1alpha1", "CloneSet")


def test_list_shows_every_row_though_one_rollout_refers_to_a_kind_that_is_not_served(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.rollout(ns, "a", workload=UNSERVED)
    plain.deployment(ns)
    plain.rollout(ns, status=waiting(2))
    said = kruise(f"rollout list -n {ns}")
    rows = [line.split() for line in said.out.splitlines()]
    assert (said.code, said.err) == (0, "")
    assert rows[1] == ["a", "Partition", "-", "0/3", "-", "-", "-", "-"]
    assert rows[2][:5] == ["web", "Partition", "Progressing", "2/3", "StepPaused"]


def test_describe_reports_on_a_rollout_of_a_kind_that_is_not_served(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.rollout(ns, workload=UNSERVED)
    said = kruise(f"describe rollout web -n {ns}")
    assert said.code == 0
    assert "Workload:          CloneSet web does not exist" in said.out


def test_a_rollout_that_somebody_has_paused_can_end_it_with_3_and_says_how_to_resume(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.rollout(ns, status={**waiting(2), "observedGeneration": 2})
    plain.merge(_path(ns), {"spec": {"strategy": {"paused": True}}})
    said = kruise(f"rollout status rollout/web --exit-on-pause --timeout=1s -n {ns}")
    assert (said.code, said.err) == (3, "")
    assert f"resume it with: kubectl kruise rollout resume rollout/web -n {ns}" in said.out


STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "RolloutConflict",
    "message": "delete one of the two.",
}


@pytest.mark.parametrize("status", [{**HEALTHY, "phase": "Initial"}, HEALTHY, waiting(1)])
def test_a_rollout_that_stands_still_until_a_person_acts_ends_with_1_and_says_why(
    plain: Cluster, ns: str, kruise: Kruise, status: Any
) -> None:
    plain.rollout(ns, status={**status, "conditions": [STALLED]})
    said = kruise(f"rollout status rollout/web --timeout=1s -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert said.err == 'error: rollout "web" stands still: delete one of the two.\n'


def test_pauses_of_a_deployment_are_refused_with_the_rollout_that_has_them(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.deployment(ns)
    said = kruise(f"rollout status deployment/web --exit-on-pause -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert "has no Rollout" in said.err
    plain.rollout(ns)
    said = kruise(f"rollout status deployment/web --exit-on-pause -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert f"kubectl kruise rollout status rollout/web -n {ns} --exit-on-pause" in said.err


def test_a_workload_that_was_created_a_moment_after_its_rollout_is_no_failure(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {**STALLED, "reason": "WorkloadNotFound", "message": "there is no Deployment web"}
    plain.rollout(ns, status={**HEALTHY, "phase": "Initial", "conditions": [missing]})
    said = kruise(f"rollout status rollout/web --timeout=20s -n {ns}")
    assert (said.code, said.err) == (1, 'error: rollout "web" stands still: there is no Deployment web\n')
    plain.deployment(ns)
    _while_it_watches(
        monkeypatch, lambda: plain.merge(f"{_path(ns)}/status", {"status": {**HEALTHY, "conditions": None}})
    )
    said = kruise(f"rollout status rollout/web --timeout=20s -n {ns}")
    assert said.code == 0
    assert said.out.splitlines()[-1] == 'rollout "web" successfully rolled out'
