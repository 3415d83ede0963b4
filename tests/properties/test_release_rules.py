"""The rules of test_releases.py see faults: each is planted here, and each must be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from release_rules import Rules
from release_stage import DEPLOYMENT_REF, RELEASE_REF, ROLLOUT_REF, Stage, a_step
from test_releases import a_stage, given_back, see_through

from kruise_rollouts.api.apps import ReplicaSet
from kruise_rollouts.core import batch, rolling, steps
from kruise_rollouts.core.outcomes import Out, move, with_step
from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.effects import Patch, Write
from kruise_rollouts.operator import drafts, rollouts
from kruise_rollouts.runtime.controller import FoldLimit

LIMITS = ("25%", "25%")
PLAN = [a_step("20%"), a_step("50%"), a_step("100%")]


def released(change: Callable[[Stage, Rules], None] = lambda stage, rules: None) -> None:
    """A release from beginning to end."""
    stage, rules = a_stage(10, PLAN, LIMITS, 1)
    stage.set_image(2)
    rules.new_image()
    stage.finish()
    change(stage, rules)
    see_through(stage)
    given_back(stage, LIMITS, 2)


def test_without_a_fault_nothing_is_found() -> None:
    released()


def test_more_pods_than_the_step_allows_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    advance = PartitionedDeployment.advance
    monkeypatch.setattr(PartitionedDeployment, "advance", lambda self, batch: advance(self, "70%"))
    with pytest.raises(AssertionError, match="new pods"):
        released()


def test_an_approval_that_nobody_gave_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def ready(seen: RolloutSnapshot) -> Out:
        return move(seen, with_step(seen, current_step_state="StepReady"))

    impatient = steps.Row(ready, ("StepReady",))  # type: ignore[arg-type]
    monkeypatch.setitem(steps.STEPS, "StepPaused", impatient)
    with pytest.raises(AssertionError, match="was never granted"):
        released()


def test_an_approval_that_is_overwritten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def overwriting(ref: Any, draft: Any, guarded: Any) -> Patch | None:
        return drafts.status_write(ref, draft, frozenset())

    monkeypatch.setattr(rollouts, "status_write", overwriting)
    with pytest.raises(AssertionError, match="was lost"):
        approve_behind_its_back()


def test_an_approval_that_comes_while_a_decision_is_made_counts() -> None:
    approve_behind_its_back()


def approve_behind_its_back() -> None:
    """The approval arrives between the decision to stop at the step and the write that says so."""
    stage, _ = a_stage(10, PLAN, LIMITS, 1)
    stage.set_image(2)
    approved = False

    def approve(write: Write) -> None:
        nonlocal approved
        if not approved and isinstance(write, Patch) and "StepPaused" in str(write.body):
            approved = True
            approval = {"status": {"canaryStatus": {"currentStepState": "StepReady"}}}
            stage.patch(ROLLOUT_REF, approval, subresource="status")

    stage.interrupts.append(approve)
    stage.finish()
    assert approved
    assert stage.sub["currentStepIndex"] == 2, "the approval was lost"


def test_pods_that_count_before_they_have_been_ready_for_long_enough_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hasty(self: PartitionedDeployment, new: ReplicaSet | None) -> int:
        return 0 if new is None else new.status.ready_replicas

    def released_slowly() -> None:
        stage, rules = a_stage(10, PLAN, LIMITS, 1, min_ready=30)
        stage.set_image(2)
        rules.new_image()
        see_through(stage)
        given_back(stage, LIMITS, 2)

    released_slowly()
    monkeypatch.setattr(PartitionedDeployment, "_available", hasty)
    with pytest.raises(AssertionError, match="is ready with 0 pods available of 2"):
        released_slowly()


def test_a_version_that_is_let_loose_in_the_middle_of_a_rollback_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "_is_overtaken", lambda seen: False)
    stage, rules = a_stage(10, PLAN, LIMITS, 1)
    stage.set_image(2)
    rules.new_image()
    stage.finish()
    stage.set_image(1)
    rules.new_image()
    while stage.objects[RELEASE_REF]["spec"]["releasePlan"].get("batchPartition") is not None:
        stage.step()
    stage.set_image(3)
    rules.new_image()
    with pytest.raises(AssertionError, match="new pods"):
        stage.finish()


def test_capacity_that_is_lost_is_found() -> None:
    def lose(stage: Stage, rules: Rules) -> None:
        fault = {"spec": {"paused": False, "strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}}
        stage.native.apply(Patch(DEPLOYMENT_REF, fault))
        rules.steps_count = False
        stage.native.sync()
        stage.native.sync_replica_sets()
        rules.look()

    with pytest.raises(AssertionError, match="may be missing"):
        released(lose)


def test_a_changed_strategy_type_is_found() -> None:
    def change(stage: Stage, rules: Rules) -> None:
        fault = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
        stage.native.apply(Patch(DEPLOYMENT_REF, fault))
        rules.look()

    with pytest.raises(AssertionError, match="has changed"):
        released(change)


def test_what_is_left_on_the_workload_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    release = PartitionedDeployment.release

    def careless(self: PartitionedDeployment, ending: Ending) -> tuple[Write, ...]:
        writes = release(self, ending)
        for write in writes:
            if isinstance(write, Patch):
                write.body.get("metadata", {}).get("labels", {}).clear()
        return writes

    monkeypatch.setattr(PartitionedDeployment, "release", careless)
    with pytest.raises((AssertionError, FoldLimit)):
        released()


def test_a_release_that_forgets_a_rollback_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = tuple(c for c in rolling.ROLLING_CASES if c.__name__ not in ("_rolled_back", "_new_revision"))
    monkeypatch.setattr(rolling, "ROLLING_CASES", cases)
    stage, rules = a_stage(10, PLAN, LIMITS, 1)
    stage.set_image(2)
    rules.new_image()
    stage.finish()
    stage.set_image(1)
    with pytest.raises(AssertionError):
        see_through(stage)
        given_back(stage, LIMITS, 1)
