"""What a person sees of a Rollout, made from raw objects of either version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kruise_rollouts.views.age import age, duration
from kruise_rollouts.views.history import restored_annotations, revisions, target
from kruise_rollouts.views.progress import deployment_progress, rollout_progress
from kruise_rollouts.views.rollout import pod_view, rollout_view, workload_view
from kruise_rollouts.views.text import describe

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_rollout(**status: Any) -> dict[str, Any]:
    steps = [{"replicas": 1, "pause": {}}, {"replicas": "50%", "traffic": "20%", "pause": {"duration": 60}}]
    return {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "Rollout",
        "metadata": {"name": "busybox", "namespace": "default", "generation": 2},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busybox"},
            "strategy": {"canary": {"steps": steps}},
        },
        "status": {"observedGeneration": 2, "phase": "Progressing", "message": "waits for you", **status},
    }


PAUSED = {"canaryStatus": {"currentStepIndex": 1, "currentStepState": "StepPaused", "stableRevision": "old", "canaryRevision": "new", "podTemplateHash": "hash"}}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0s"), (42, "42s"), (119, "119s"), (125, "2m5s"), (600, "10m"), (10800, "3h"), (11700, "3h15m"), (90000, "25h"), (172800, "2d"), (180000, "2d2h"), (864000, "10d")],
)  # fmt: skip
def test_ages_are_worded_as_kubectl_words_them(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown
    if seconds >= 0:
        assert age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == shown


def test_describe_shows_steps_revisions_counters_and_pods() -> None:
    deployment = {
        "spec": {"replicas": 10, "template": {"spec": {"containers": [{"image": "busybox:1.36"}]}}},
        "status": {"replicas": 10, "updatedReplicas": 1, "readyReplicas": 10, "availableReplicas": 10},
    }
    pod = {
        "metadata": {
            "name": "busybox-1",
            "creationTimestamp": (NOW - timedelta(seconds=42)).isoformat(),
            "labels": {"pod-template-hash": "hash", "rollouts.kruise.io/rollout-batch-id": "1"},
        },
        "spec": {"containers": [{}]},
        "status": {"phase": "Running", "containerStatuses": [{"ready": True, "restartCount": 2}]},
    }
    report = describe(
        rollout_view(a_rollout(**PAUSED)), workload_view(deployment), [pod_view(pod)], now=NOW, colour=False
    )
    rows = [line.split() for line in report.splitlines()]
    assert ["Name:", "busybox"] in rows
    assert ["Status:", "Progressing"] in rows
    assert ["Step:", "1/2"] in rows
    assert ["State:", "StepPaused"] in rows
    assert ["Current", "Revision:", "old"] in rows
    assert ["Updated:", "1"] in rows
    assert ["busybox-1", "1/1", "1", "hash", "42s", "2", "Running"] in rows
    assert "\033" not in report


@pytest.mark.parametrize("status", [{}, {"canaryStatus": None}, {"conditions": None, "phase": None}])
def test_describe_survives_a_rollout_whose_status_is_not_there_yet(status: dict[str, Any]) -> None:
    report = describe(rollout_view({**a_rollout(), "status": status}), None, [], now=NOW, colour=True)
    assert "does not exist" in report
    assert "0/2" in report


def test_v1alpha1_weights_and_references_read_as_their_v1beta1_twins() -> None:
    alpha = {
        "apiVersion": "rollouts.kruise.io/v1alpha1",
        "metadata": {"name": "x", "annotations": {"rollouts.kruise.io/rolling-style": "Partition"}},
        "spec": {
            "objectRef": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}},
            "strategy": {"canary": {"steps": [{"weight": 5}]}},
        },
    }
    view = rollout_view(alpha)
    assert (view.workload_name, view.steps[0].traffic, view.style) == ("w", "5%", "Partition")


@pytest.mark.parametrize(
    ("status", "outcome", "needs_person"),
    [
        ({"phase": "Healthy", "conditions": [{"type": "Succeeded", "status": "True"}]}, "done", False),
        ({"phase": "Healthy"}, "done", False),
        ({"phase": "Healthy", "conditions": [{"type": "Succeeded", "status": "False"}]}, "failed", False),
        ({"phase": "Initial", "message": "Workload Not Found"}, "waiting", False),
        ({"phase": "Healthy", "observedGeneration": 1}, "waiting", False),
        (PAUSED, "waiting", True),
        ({**PAUSED, "conditions": [{"type": "Stalled", "status": "True", "message": "no"}]}, "failed", False),
        (
            {**PAUSED, "conditions": [{"type": "Stalled", "status": "False", "message": "no"}]},
            "waiting",
            True,
        ),
        ({"canaryStatus": {"currentStepIndex": 2, "currentStepState": "StepPaused"}}, "waiting", False),
    ],
)
def test_status_knows_done_failed_waiting_and_waiting_for_you(
    status: dict[str, Any], outcome: str, needs_person: bool
) -> None:
    progress = rollout_progress(a_rollout(**status))
    assert (progress.outcome, progress.needs_person) == (outcome, needs_person)


def test_status_of_a_held_deployment_says_who_holds_it() -> None:
    held = {
        "metadata": {
            "name": "busybox",
            "generation": 1,
            "annotations": {"rollouts.kruise.io/in-progressing": "{}"},
        },
        "spec": {"replicas": 10},
        "status": {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 10},
    }
    assert "Rollout" in deployment_progress(held).line


def a_history(current: str, *versions: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A Deployment whose template is `current`, and one ReplicaSet per version, revision 1 first."""

    def template(version: str) -> dict[str, Any]:
        return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"image": version}]}}

    sets = []
    for number, version in enumerate(versions, start=1):
        body = template(version)
        body["metadata"]["labels"]["pod-template-hash"] = version
        meta = {
            "labels": {"pod-template-hash": version},
            "annotations": {"deployment.kubernetes.io/revision": str(number), "team": version},
            "ownerReferences": [{"uid": "u", "controller": True}],
        }
        sets.append({"metadata": meta, "spec": {"template": body}})
    annotations = {
        "deployment.kubernetes.io/revision": "9",
        "rollouts.kruise.io/in-progressing": "{}",
        "team": "now",
    }
    return {
        "metadata": {"uid": "u", "annotations": annotations},
        "spec": {"template": template(current)},
    }, sets


@pytest.mark.parametrize(
    ("current", "versions", "number", "found"),
    [
        ("v2", ("v1", "v2"), 0, 1),
        ("v3", ("v1", "v2"), 0, 2),  # held: the new template has no ReplicaSet yet
        ("v1", ("v1",), 0, None),
        ("v2", ("v1", "v2"), 1, 1),
        ("v2", ("v1", "v2"), 7, None),
    ],
)
def test_undo_goes_back_to_what_ran_before_even_while_held(
    current: str, versions: tuple[str, ...], number: int, found: int | None
) -> None:
    deployment, sets = a_history(current, *versions)
    goal = target(deployment, revisions(deployment, sets), number)
    assert (goal.number if goal else None) == found


def test_undo_in_a_release_goes_back_to_where_it_began_however_often_it_started_over() -> None:
    deployment, sets = a_history("v3", "v1", "v2", "v3")
    deployment["metadata"]["labels"] = {"rollouts.kruise.io/stable-revision": "v1"}
    goal = target(deployment, revisions(deployment, sets), 0)
    assert goal is not None
    assert goal.number == 1


def test_undo_brings_the_revisions_annotations_back_but_keeps_the_deployments_own() -> None:
    deployment, sets = a_history("v2", "v1", "v2")
    goal = target(deployment, revisions(deployment, sets), 0)
    assert goal is not None
    assert restored_annotations(deployment, goal) == {
        "team": "v1",
        "deployment.kubernetes.io/revision": "9",
        "rollouts.kruise.io/in-progressing": "{}",
    }


def test_a_replica_set_of_somebody_else_is_no_revision() -> None:
    deployment, sets = a_history("v2", "v1", "v2")
    sets[0]["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert [r.number for r in revisions(deployment, sets)] == [2]
