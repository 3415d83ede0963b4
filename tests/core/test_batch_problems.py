"""What keeps a BatchRelease from moving anything, and what its person is told to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from kruise_rollouts.api.apps import Deployment
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, release_style
from kruise_rollouts.core.batch_problems import problem_of
from kruise_rollouts.core.snapshot import BatchSnapshot
from kruise_rollouts.core.strategies import STRATEGIES
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment

Obj = dict[str, Any]
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
CLONE_SET = {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "web"}


def problem(*batches: int | str, ref: Obj = REF, **plan: Any) -> tuple[str, str] | None:
    """Of a BatchRelease of `batches`, of which the first may run."""
    sizes = [{"canaryReplicas": b} for b in batches or (1, "100%")]
    spec = {"workloadRef": ref, "releasePlan": {"batches": sizes, "batchPartition": 0, **plan}}
    release = msgspec.convert({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}, BatchRelease)
    deployment = msgspec.convert({"metadata": {"name": "web"}, "spec": {"replicas": 10}}, Deployment)
    known = ref["kind"] == "Deployment"
    return problem_of(
        BatchSnapshot(
            now=datetime(2026, 1, 1, tzinfo=UTC),
            release=release,
            workload=PartitionedDeployment(deployment, ()) if known and ref["name"] else None,
            supported=known and release_style(release.spec.release_plan) in STRATEGIES,
        )
    )


def test_a_usual_one_has_none() -> None:
    assert problem("10%", 5, "100%", rollingStyle="Partition", rolloutID="r1") is None
    assert problem(0, 5, batchPartition=7, failureThreshold="10%") is None


@pytest.mark.parametrize("style", ["", "partition", "PARTITION"])
def test_an_empty_style_and_any_case_of_a_known_one_work_as_before(style: str) -> None:
    assert problem(rollingStyle=style, enableExtraWorkloadForCanary=False) is None


@pytest.mark.parametrize("plan", [{"rollingStyle": "BlueGreen"}, {"enableExtraWorkloadForCanary": True}])
def test_of_a_style_that_is_not_supported_it_says_which_is(plan: Obj) -> None:
    found = problem(**plan)
    assert found is not None and found[0] == "UnsupportedStrategy"
    assert "set rollingStyle: Partition" in found[1] and "refer to" not in found[1]


def test_an_unknown_style_is_an_error_and_not_partition() -> None:
    found = problem(rollingStyle="Weird")
    assert found is not None and found[0] == "InvalidPlan"
    assert '"Weird"' in found[1] and "Partition, Canary and BlueGreen" in found[1]


def test_of_a_kind_that_is_not_supported_it_says_which_is() -> None:
    for plan in ({}, {"rollingStyle": "BlueGreen"}):
        found = problem(ref=CLONE_SET, **plan)
        assert found is not None and found[0] == "UnsupportedWorkload"
        assert "refer to an apps/v1 Deployment" in found[1] and "style" not in found[1]


def test_without_a_workload_it_asks_for_one() -> None:
    found = problem(ref={"apiVersion": "", "kind": "", "name": ""})
    assert found is not None and "spec.workloadRef is needed" in found[1] and "a  of" not in found[1]
    found = problem(ref={**REF, "name": ""})
    assert found is not None and "spec.workloadRef.name is empty" in found[1]


@pytest.mark.parametrize("size", ["x", "5", -3, "-3%", 99999999999])
def test_a_batch_that_is_no_number_of_pods_is_named(size: int | str) -> None:
    """It counted as a batch of 0 pods, and was Ready."""
    found = problem(1, size)
    assert found is not None and found[0] == "InvalidPlan"
    assert f"spec.releasePlan.batches[1].canaryReplicas is {size!r}" in found[1]


def test_a_partition_below_the_first_batch_is_named() -> None:
    found = problem(batchPartition=-1)
    assert found is not None and found[0] == "InvalidPlan"
    assert "spec.releasePlan.batchPartition is -1" in found[1]


def test_an_id_that_pods_cannot_be_labelled_with_is_named() -> None:
    found = problem(rolloutID="release #5 / blue")
    assert found is not None and found[0] == "InvalidPlan"
    assert 'spec.releasePlan.rolloutID is "release #5 / blue"' in found[1] and "at most 63" in found[1]


def test_a_threshold_that_go_clients_cannot_read_is_named() -> None:
    found = problem(failureThreshold=99999999999)
    assert found is not None and found[0] == "InvalidPlan" and "failureThreshold" in found[1]
