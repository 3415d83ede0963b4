"""Statuses that people have written by hand: any values of their types, at any moment, and the release still ends."""

from __future__ import annotations

import itertools
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_rules import Rules
from release_stage import DEPLOYMENT_REF, RELEASE_REF, ROLLOUT_REF, Stage, a_step
from test_releases import LONG, QUICK, a_plan, a_stage, given_back, numbers, see_through

from kruise_rollouts.api.keys import BatchState, ProgressingReason, ReleasePhase, RolloutPhase, StepState
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout
from kruise_rollouts.core import batch, rolling, rollout, steps
from kruise_rollouts.kube.effects import Patch

a_number = st.integers(-5, 60) | st.integers(-(2**31), 2**31 - 1)
a_word = st.sampled_from(
    ["", "x", "StepReady", "Healthy", "h1", *StepState, *RolloutPhase, *ReleasePhase, *BatchState]
)
a_time = st.sampled_from(["2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2027-01-01T00:00:00Z"])
a_condition = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Progressing", "Terminating", "Succeeded", "Stalled", "Odd"]),
        "status": st.sampled_from(["True", "False", "Unknown", ""]),
        "reason": st.sampled_from(["", "Odd", "InTerminating", *ProgressingReason]),
        "message": a_word,
        "lastUpdateTime": a_time,
        "lastTransitionTime": a_time,
    }
)
a_sub_status = st.fixed_dictionaries(
    {},
    optional={
        "currentStepIndex": a_number,
        "nextStepIndex": a_number,
        "currentStepState": a_word,
        "finalisingStep": a_word,
        "lastUpdateTime": a_time,
        "rolloutHash": a_word,
        "canaryRevision": a_word,
        "podTemplateHash": a_word,
        "observedRolloutID": a_word,
        "canaryReplicas": a_number,
        "canaryReadyReplicas": a_number,
        "observedWorkloadGeneration": a_number,
        "message": a_word,
        "stableRevision": a_word,
    },
)
a_rollout_status = st.fixed_dictionaries(
    {},
    optional={
        "phase": a_word,
        "message": a_word,
        "conditions": st.lists(a_condition, max_size=3),
        "canaryStatus": st.none() | a_sub_status,
        "blueGreenStatus": st.none() | st.just({"currentStepIndex": 1, "currentStepState": "StepPaused"}),
        "currentStepIndex": a_number,
        "currentStepState": a_word,
        "observedGeneration": a_number,
    },
)
a_release_status = st.fixed_dictionaries(
    {},
    optional={
        "phase": a_word,
        "conditions": st.lists(a_condition, max_size=2),
        "canaryStatus": st.fixed_dictionaries(
            {},
            optional={
                "batchState": a_word,
                "batchReadyTime": a_time,
                "currentBatch": a_number,
                "updatedReplicas": a_number,
                "updatedReadyReplicas": a_number,
            },
        ),
        "message": a_word,
        "collisionCount": a_number,
        "observedGeneration": a_number,
        "stableRevision": a_word | st.just("h1"),
        "updateRevision": a_word,
        "observedReleasePlanHash": a_word,
        "observedRolloutID": a_word,
        "observedWorkloadReplicas": a_number,
    },
)


def write_status(stage: Stage, ref: Any, status: Any) -> None:
    if ref in stage.objects:
        kind = Rollout if ref is ROLLOUT_REF else BatchRelease
        msgspec.convert({"status": status}, kind)  # what the schema would let through
        stage.act(lambda: stage.patch(ref, {"status": status}, subresource="status"))


a_run = given(
    plan=a_plan,
    limits=numbers,
    edits=st.lists(
        st.tuples(
            st.tuples(st.just(ROLLOUT_REF), a_rollout_status)
            | st.tuples(st.just(RELEASE_REF), a_release_status),
            st.integers(0, 12),
        ),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 10**6),
)


@QUICK
@a_run
def test_a_status_with_any_values_neither_stops_nor_spins_a_release(
    **run: Any,
) -> None:
    play(**run)


@pytest.mark.slow
@settings(LONG, max_examples=int(os.environ.get("BY_HAND", "2000")))
@a_run
def test_many_more_statuses_with_any_values_stop_no_release(**run: Any) -> None:
    play(**run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"), [("Disabling", ""), ("Disabled", ""), ("Terminating", "Healthy"), ("", "Disabled")]
)
def test_a_phase_written_twice_at_any_moment_leaves_no_batch_release_behind(first: str, then: str) -> None:
    for moment, between in itertools.product(range(0, 70, 3), range(8)):
        stage, rules = a_stage(6, [a_step("50%"), a_step("100%")], ("25%", "25%"), moment * 100 + between)
        rules.steps_count = rules.capacity_counts = False
        stage.set_image(2)
        for _ in range(moment):
            if not stage.step() and not stage.pass_time():
                stage.approve()
        write_status(stage, ROLLOUT_REF, {"phase": first})
        for _ in range(between):
            stage.step()
        write_status(stage, ROLLOUT_REF, {"phase": then})
        see_through(stage)
        given_back(stage, ("25%", "25%"), 2)


def test_a_phase_written_by_hand_lets_no_held_pod_go() -> None:
    stage, _ = a_stage(10, [a_step("20%"), a_step("100%")], ("25%", "25%"), 1)
    stage.set_image(2)
    stage.finish()
    bare = {"metadata": {"annotations": {"rollouts.kruise.io/in-progressing": None}}}
    stage.act(lambda: stage.native.apply(Patch(DEPLOYMENT_REF, bare)))
    write_status(stage, ROLLOUT_REF, {"phase": ""})
    stage.finish()
    assert stage.sub["currentStepState"] == "StepPaused" and stage.sub["currentStepIndex"] == 1
    assert stage.native.new()["spec"]["replicas"] == 2  # type: ignore[index]


def play(plan: list[Any], limits: Any, edits: list[Any], seed: int) -> None:
    stage, rules = a_stage(6, plan, limits, seed)
    stage.set_image(2)
    rules.new_image()
    rules.steps_count = rules.capacity_counts = False
    for (ref, status), count in edits:
        for _ in range(count):
            stage.step()
        write_status(stage, ref, status)
    see_through(stage)
    given_back(stage, limits, 2)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Odd"}, "phase 'Odd' is not one; the Rollout begins anew"),
        (
            {"canaryStatus": {"currentStepState": "Odd"}},
            "currentStepState 'Odd' is not a state; step 1 begins again",
        ),
        ({"canaryStatus": {"currentStepIndex": 77}}, "currentStepIndex 77 is not a step of the plan"),
        ({"canaryStatus": {"nextStepIndex": 77}}, "nextStepIndex 77 is ignored"),
        ({"conditions": []}, "the status does not say how far the release is"),
        ({"canaryStatus": None}, "the status does not say how far the release is"),
        ({"blueGreenStatus": {"currentStepIndex": 1}}, "status.blueGreenStatus is dropped"),
    ],
)
def test_a_status_that_cannot_be_followed_is_told_of_and_the_release_goes_on(status: Any, words: str) -> None:
    stage, _ = a_stage(10, [a_step("20%"), a_step("100%")], ("25%", "25%"), 1)
    stage.set_image(2)
    stage.finish()
    write_status(stage, ROLLOUT_REF, status)
    stage.finish()
    warnings = [n for n in stage.notes if n.type == "Warning" and words in n.message]
    assert len(warnings) == 2, "once on the Rollout and once on the workload"
    assert stage.sub["currentStepState"] == "StepPaused"
    see_through(stage)
    given_back(stage, ("25%", "25%"), 2)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Odd"}, "phase 'Odd' is not one"),
        ({"canaryStatus": {"batchState": "Odd"}}, "batchState 'Odd' is not one"),
        ({"canaryStatus": {"currentBatch": 77}}, "currentBatch 77 is not one of 2"),
    ],
)
def test_a_batch_release_whose_status_cannot_be_followed_says_so_and_goes_on(status: Any, words: str) -> None:
    stage, _ = a_stage(10, [a_step("20%"), a_step("100%")], ("25%", "25%"), 1)
    stage.set_image(2)
    stage.finish()
    write_status(stage, RELEASE_REF, status)
    stage.finish()
    assert len([n for n in stage.notes if n.type == "Warning" and words in n.message]) == 1
    assert stage.objects[RELEASE_REF]["status"]["canaryStatus"]["batchState"] == "Ready"
    see_through(stage)
    given_back(stage, ("25%", "25%"), 2)


# --- the tables tell the truth -------------------------------------------------------------------------------------------


class Transitions:
    """Every change of phase, reason and state that is stored while nobody writes a status by hand."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.last: dict[str, str] = {}
        self.seen: set[tuple[str, str, str]] = set()
        stage.checks.append(lambda _: self.look())

    def look(self) -> None:
        status = self.stage.objects.get(ROLLOUT_REF, {}).get("status", {})
        conditions = {c["type"]: c["reason"] for c in status.get("conditions") or ()}
        release = self.stage.objects.get(RELEASE_REF, {}).get("status", {})
        now = {
            "phase": status.get("phase", ""),
            "reason": conditions.get("Progressing", "") if status.get("phase") == "Progressing" else "",
            "state": (status.get("canaryStatus") or {}).get("currentStepState", ""),
            "release": release.get("phase", ""),
        }
        for table, value in now.items():
            was = self.last.get(table, "")
            if was and value and was != value:
                self.seen.add((table, was, value))
        self.last = now


ANEW = ("BeforeStepUpgrade", "StepUpgrade", "StepReady", "Initializing", "InRolling")  # by a person's doing


def reachable(rows: dict[str, Any], start: str) -> set[str]:
    """Where the arrows of a table lead from `start`, in any number of steps: several may be stored as one."""
    found: set[str] = set()
    front = [start]
    while front:
        for target in rows[front.pop()].to:
            if str(target) not in found:
                found.add(str(target))
                front.append(str(target))
    return found


def test_every_state_has_a_row_and_every_arrow_ends_at_one() -> None:
    for rows, values in (
        (steps.STEPS, StepState),
        (rolling.REASONS, ProgressingReason),
        (batch.BATCH_STATES, BatchState),
    ):
        assert set(rows) == set(values)
        assert {t for row in rows.values() for t in row.to} <= set(values)
    handled = {*rollout.PHASES, RolloutPhase.DISABLING, ""}
    assert set(RolloutPhase) <= handled


def test_a_release_takes_only_the_ways_that_the_tables_show() -> None:
    stage = Stage(10, [a_step("20%"), a_step("50%", 5), a_step("100%")])
    ways = Transitions(stage)
    Rules(stage, 3, 2)
    stage.finish()
    for version in (2, 3, 2):
        stage.set_image(version)
        for _ in range(3):
            stage.finish()
            if stage.sub["currentStepState"] == "StepPaused":
                stage.approve()
    stage.finish()
    for table, rows in (("state", steps.STEPS), ("reason", rolling.REASONS)):
        for _, was, now in (w for w in ways.seen if w[0] == table):
            assert now in reachable(rows, was) or now in ANEW, (table, was, now)
