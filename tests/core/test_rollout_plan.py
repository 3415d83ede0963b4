"""Which step a changed plan goes on with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from kruise_rollouts.api.apps import Deployment
from kruise_rollouts.api.keys import HASH, ROLLOUT_FINALIZER
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout
from kruise_rollouts.core.replan import replanned
from kruise_rollouts.core.rollout import decide_rollout
from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.core.strategies.partition import STRATEGY
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.effects import Patch


def seen(old: list[Any], batch: int, new: list[Any], index: int) -> RolloutSnapshot:
    """Ten pods, `old` batches of which `batch` (0-based) was asked for, and `new` steps."""
    steps = [{"replicas": r} for r in new]
    rollout = {
        "metadata": {"name": "web", "uid": "u"},
        "spec": {"strategy": {"canary": {"steps": steps}}},
        "status": {"canaryStatus": {"currentStepIndex": index}},
    }
    release = {
        "metadata": {"ownerReferences": [{"uid": "u", "controller": True}]},
        "spec": {"releasePlan": {"batches": [{"canaryReplicas": r} for r in old], "batchPartition": batch}},
    }
    return RolloutSnapshot(
        now=datetime(2026, 1, 1, tzinfo=UTC),
        rollout=msgspec.convert(rollout, Rollout),
        strategy=STRATEGY,
        workload=PartitionedDeployment(msgspec.convert({"spec": {"replicas": 10}}, Deployment), ()),
        release=msgspec.convert(release, BatchRelease),
    )


@pytest.mark.parametrize(
    ("old", "batch", "new", "index", "target"),
    [
        (["40%", "60%", "100%"], 0, ["20%", "50%", "100%"], 0, 2),
        (["40%", "60%", "100%"], 0, ["20%", "40%", "100%"], 0, 2),
        (["20%", "40%", "100%"], 1, ["40%", "60%", "100%"], 0, 1),
        (["20%", "40%", "100%"], 0, ["10%", "30%", "100%"], 0, 2),
        (["10%", "20%", "30%"], 0, ["10%", "10%"], 0, 1),
        (["20%", "40%"], 0, ["20%", "20%"], 2, 2),
        (["20%"], 0, ["60%"], 1, 1),
        (["80%"], 0, ["10%", "20%", "30%"], 3, 2),
        (["80%"], 7, ["10%"], 1, 1),
    ],
)
def test_a_changed_plan_goes_on_with_the_step_that_fits(
    old: list[Any], batch: int, new: list[Any], index: int, target: int
) -> None:
    assert replanned(seen(old, batch, new, index)) == target


def test_a_new_rollout_gets_all_its_marks_in_one_write() -> None:
    (write,) = decide_rollout(seen(["100%"], 0, ["100%"], 0)).writes
    assert isinstance(write, Patch)
    assert write.body["metadata"]["finalizers"] == [ROLLOUT_FINALIZER]
    assert write.body["metadata"]["annotations"].keys() == {HASH}
