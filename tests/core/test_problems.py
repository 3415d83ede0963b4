"""What keeps a Rollout from releasing anything, and what its person is told to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from kruise_rollouts.api.apps import Deployment
from kruise_rollouts.api.rollouts_v1beta1 import Rollout, style_of
from kruise_rollouts.core.problems import Problem, problem_of
from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.core.strategies import STRATEGIES
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment

Obj = dict[str, Any]
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
ROLLOUT_ID = "rollouts.kruise.io/rollout-id"
TRAFFIC_ROUTING = "rollouts.kruise.io/trafficrouting"


def problem(
    strategy: Obj | None = None, *, annotations: Obj | None = None, of_workload: Obj | None = None
) -> Problem | None:
    """`of_workload`: metadata of the Deployment."""
    canary = {"canary": {"steps": [{"replicas": "20%"}, {"replicas": "100%"}]}}
    body = {
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations or {}},
        "spec": {"workloadRef": REF, "strategy": strategy or canary},
    }
    deployment = {"metadata": {"name": "web", **(of_workload or {})}, "spec": {"replicas": 10}}
    rollout = msgspec.convert(body, Rollout)
    style = style_of(rollout.spec)
    return problem_of(
        RolloutSnapshot(
            now=datetime(2026, 1, 1, tzinfo=UTC),
            rollout=rollout,
            strategy=None if style is None else STRATEGIES.get(style),
            workload=PartitionedDeployment(msgspec.convert(deployment, Deployment), ()),
        )
    )


def test_a_usual_rollout_has_none() -> None:
    assert problem() is None


def test_traffic_asked_for_by_reference_is_not_ignored_in_silence() -> None:
    found = problem({"canary": {"steps": [{"replicas": 1}], "trafficRoutingRef": "shop"}})
    assert found is not None and found.reason == "UnsupportedTraffic"
    assert "remove spec.strategy.canary.trafficRoutingRef" in found.message


def test_traffic_asked_for_by_annotation_is_not_ignored_in_silence() -> None:
    found = problem(annotations={TRAFFIC_ROUTING: "shop"})
    assert found is not None and found.reason == "UnsupportedTraffic"
    assert f"remove the annotation {TRAFFIC_ROUTING}" in found.message
    assert problem(annotations={TRAFFIC_ROUTING: ""}) is None


def test_everything_that_asks_for_traffic_is_named_at_once() -> None:
    canary = {
        "steps": [{"replicas": 1, "traffic": "5%"}],
        "trafficRoutings": [{"service": "web"}],
        "trafficRoutingRef": "shop",
    }
    found = problem({"canary": canary}, annotations={TRAFFIC_ROUTING: "shop"})
    assert found is not None and len(found.message) <= 250
    for name in ("trafficRoutings", "traffic and matches", "canary.trafficRoutingRef", TRAFFIC_ROUTING):
        assert name in found.message


def test_a_reference_alone_leaves_the_steps_as_they_are() -> None:
    found = problem({"canary": {"steps": [{"replicas": 1}], "trafficRoutingRef": "shop"}})
    assert found is not None and "matches" not in found.message


def test_numbers_that_go_clients_cannot_read_are_not_passed_on_to_a_batch_release() -> None:
    found = problem({"canary": {"steps": [{"replicas": 99999999999}]}})
    assert found is not None and found.reason == "InvalidPlan"
    assert "steps[0].replicas is 99999999999" in found.message
    found = problem({"canary": {"steps": [{"replicas": 1}], "failureThreshold": 99999999999}})
    assert found is not None and "spec.strategy.canary.failureThreshold is 99999999999" in found.message


def test_an_id_that_pods_cannot_be_labelled_with_is_told_on_the_rollout() -> None:
    for text in ("release #5 / blue", "n" * 64):
        found = problem(of_workload={"annotations": {ROLLOUT_ID: text}})
        assert found is not None and found.reason == "InvalidRolloutID"
        assert ROLLOUT_ID in found.message and "at most 63" in found.message and text[:20] in found.message
    assert problem(of_workload={"annotations": {ROLLOUT_ID: "release-5_blue.a"}}) is None
    # The label wins, and the API server has seen to it that it is one.
    both = {"labels": {ROLLOUT_ID: "r5"}, "annotations": {ROLLOUT_ID: "release #5"}}
    assert problem(of_workload=both) is None
