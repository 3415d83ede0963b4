"""Whole releases under everything that people, crashes and late news can do to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_rules import Rules, stage_status
from release_stage import KINDS, RELEASE_REF, ROLLOUT_REF, Stage, a_step

OURS = ("rollouts.kruise.io/", "batchrelease.rollouts.kruise.io/")
KEPT = "rollouts.kruise.io/workload-type"

an_amount = st.integers(1, 100).map(lambda n: f"{n}%") | st.integers(0, 12)
a_plan = st.lists(st.builds(a_step, an_amount, st.sampled_from([None, None, 0, 5])), min_size=1, max_size=4)
numbers = st.sampled_from([("25%", "25%"), (1, 0), (0, 1), (3, 2), ("100%", 0)])
an_act = st.one_of(
    st.tuples(st.just("image"), st.integers(1, 4)),
    st.tuples(st.just("approve"), st.just(0)),
    st.tuples(st.just("approve"), st.just(0)),
    st.tuples(st.just("jump"), st.integers(-2, 6)),
    st.tuples(st.just("plan"), a_plan),
    st.tuples(st.just("scale"), st.integers(0, 12)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("disable"), st.booleans()),
    st.tuples(st.just("delete"), st.just(0)),
    st.tuples(st.just("resume by hand"), st.just(0)),
    st.tuples(st.just("delete the BatchRelease"), st.just(0)),
    st.tuples(st.just("admission"), st.booleans()),
    st.tuples(st.just("crash"), st.integers(0, 12)),
    st.tuples(st.just("time"), st.just(0)),
    st.tuples(st.just("settle"), st.just(0)),
)
QUICK = settings(max_examples=6, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
# The same runs each time: what chance finds beyond them is for `RELEASES`, which names each release by its number.
LONG = settings(derandomize=True, max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


def a_stage(
    replicas: int, plan: list[Any], limits: tuple[Any, Any], seed: int, min_ready: int = 0
) -> tuple[Stage, Rules]:
    stage = Stage(replicas, plan, surge=limits[0], unavailable=limits[1], seed=seed, min_ready=min_ready)
    rules = Rules(stage, *limits)
    stage.settle()
    return stage, rules


def perform(stage: Stage, rules: Rules, act: str, value: Any) -> None:
    """One act of a person, a machine or fate."""
    match act:
        case "image":
            # Nobody holds a template that comes between the end of the Rollout and that of its bounds. And a third
            # version stops a move at once, on what is known of its pods then: that must not be old news.
            late = stage.lags and rules.image != rules.stable
            rollout = stage_status(stage)
            held = rollout is not None and not rollout["spec"].get("disabled")
            rules.capacity_counts = rules.capacity_counts and held and not late
            stage.set_image(value)
            rules.new_image()
        case "approve":
            stage.approve()
        case "jump":
            stage.edit_status({"nextStepIndex": value})
        case "plan":
            rollout = stage_status(stage)
            same = rollout is None or rollout["spec"]["strategy"]["canary"]["steps"] == value
            rules.keep_what_is_granted()
            stage.edit_rollout({"strategy": {"canary": {"steps": value}}})
            rules.new_plan(same)
        case "scale":
            while stage._native():
                pass  # Kubernetes itself never comes to rest if it is scaled between two halves of one replacement
            before = stage.native.wanted
            stage.scale(value)
            # Nothing serves at 0; whatever comes after is made by the Deployment controller at once.
            rules.steps_count = rules.steps_count and value > 0
            rules.scaled(before)
        case "pause":
            stage.edit_rollout({"strategy": {"paused": value}})
        case "disable":
            stage.edit_rollout({"disabled": value})
        case "delete":
            stage.delete_rollout()
        case "resume by hand":
            # Admission refuses this while there is a Rollout; later it is an update of one pod at a time.
            rules.capacity_counts = rules.capacity_counts and stage_status(stage) is not None
            stage.resume_by_hand()
        case "delete the BatchRelease":
            # A new one begins from none while the Deployment controller may still be adding what it was let.
            rules.capacity_counts = False
            if RELEASE_REF in stage.objects:
                stage.act(lambda: stage.delete(RELEASE_REF))
        case "admission":
            # What is written while it is away moves natively until somebody looks.
            rules.steps_count = rules.capacity_counts = False
            stage.webhook = value
        case "crash":
            stage.crash_in = value
        case "time":
            stage.settle()
            stage.pass_time()
        case "settle":
            stage.settle()
    rules.look()


def see_through(stage: Stage) -> None:
    """People let every release finish."""
    stage.lags, stage.crash_in, stage.webhook = False, None, True
    stage.edit_rollout({"strategy": {"paused": False}, "disabled": False})
    for _ in range(60):
        stage.finish()
        if ROLLOUT_REF not in stage.objects or stage.status.get("phase") == "Healthy":
            return
        assert stage.sub.get("currentStepState") == "StepPaused", stage.status
        stage.approve()
    raise AssertionError(f"approved without end: {stage.status}")


def given_back(stage: Stage, limits: tuple[Any, Any], image: int) -> None:
    """The Deployment is what the person last applied, field by field."""
    deployment = stage.native.deployment
    assert not [k for k in deployment["metadata"]["annotations"] if k.startswith(OURS)]
    assert not [k for k in deployment["metadata"]["labels"] if k.startswith(OURS) and k != KEPT]
    spec = deployment["spec"]
    assert spec["template"]["spec"]["containers"][0]["image"] == f"web:{image}"
    wanted = (False, stage.min_ready, 600)
    assert (spec["paused"], spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == wanted
    rolling = {"maxSurge": limits[0], "maxUnavailable": limits[1]}
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    active = [r for r in stage.native.replica_sets.values() if r["spec"]["replicas"] > 0]
    assert all(r["spec"]["minReadySeconds"] == stage.min_ready for r in active)
    status = deployment["status"]
    assert status["updatedReplicas"] == status["replicas"] == spec["replicas"], status
    assert RELEASE_REF not in stage.objects


a_run = given(
    replicas=st.integers(1, 10),
    plan=a_plan,
    limits=numbers,
    acts=st.lists(st.tuples(an_act, st.integers(0, 12)), max_size=10),
    lags=st.booleans(),
    seed=st.integers(0, 10**6),
    min_ready=st.sampled_from([0, 0, 0, 30]),
    slow=st.sampled_from(["", "", *KINDS]),
)


@QUICK
@a_run
def test_whatever_happens_the_rules_hold_and_the_workload_comes_back_as_it_was_applied(**run: Any) -> None:
    play(**run)


@pytest.mark.slow
@LONG
@a_run
def test_whatever_hypothesis_makes_happen_the_rules_hold(**run: Any) -> None:
    play(**run)


def play(
    replicas: int,
    plan: list[Any],
    limits: tuple[Any, Any],
    acts: list[Any],
    lags: bool,
    seed: int,
    min_ready: int = 0,
    slow: str = "",
) -> None:
    """One run; `acts`: each with the number of things that happen before it. `slow`: see Stage."""
    stage, rules = a_stage(replicas, plan, limits, seed, min_ready)
    stage.lags, stage.slow = lags, slow if lags else ""
    perform(stage, rules, "image", 2)
    image = 2
    for (act, value), steps in acts:
        for _ in range(steps):
            stage.step()
        image = value if act == "image" else image
        perform(stage, rules, act, value)
    see_through(stage)
    given_back(stage, limits, image)
