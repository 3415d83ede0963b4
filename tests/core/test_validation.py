"""What a Rollout is refused for, what it is warned of, and what always passes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kruise_rollouts.api import keys, rollouts_v1alpha1, rollouts_v1beta1
from kruise_rollouts.api.convert import convert
from kruise_rollouts.core import validation, validation_v1alpha1
from kruise_rollouts.core.advice import HANDLED, advice_of
from kruise_rollouts.core.validation import Limits
from kruise_rollouts.operator.workloads import ADAPTERS

Obj = dict[str, Any]
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
ROUTING: Obj = {"service": "web", "ingress": {"name": "web"}}
CLONE_SET = {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "web"}


def rollout(
    *steps: Obj,
    ref: Obj = REF,
    routing: list[Obj] | None = None,
    name: str = "web",
    phase: str = "",
    **more: Any,
) -> rollouts_v1beta1.Rollout:
    strategy = {"canary": {"steps": list(steps), "trafficRoutings": routing or [], **more}}
    return of({"workloadRef": ref, "strategy": strategy}, name=name, phase=phase)


def blue_green(*steps: Obj, ref: Obj = REF) -> rollouts_v1beta1.Rollout:
    return of({"workloadRef": ref, "strategy": {"blueGreen": {"steps": list(steps)}}})


def of(spec: Obj, name: str = "web", phase: str = "", deleting: bool = False) -> rollouts_v1beta1.Rollout:
    metadata = {"name": name, "deletionTimestamp": "2026-01-01T00:00:00Z" if deleting else None}
    body = {"metadata": metadata, "spec": spec, "status": {"phase": phase}}
    return msgspec.convert(body, rollouts_v1beta1.Rollout)


def paths(
    new: rollouts_v1beta1.Rollout,
    old: rollouts_v1beta1.Rollout | None = None,
    *others: rollouts_v1beta1.Rollout,
    limit: int = 50,
) -> list[str]:
    return [p.path for p in validation.problems_of(new, old, others, Limits(limit))]


GOOD: tuple[Obj, ...] = (
    {"traffic": "5%", "replicas": "5%"},
    {"traffic": "50%", "replicas": "50%"},
    {"replicas": "100%"},
)
STEPS = "Spec.Strategy.Canary.Steps"


def test_a_usual_rollout_is_accepted_without_a_word() -> None:
    new = rollout({"replicas": "5%"}, {"replicas": "100%"})
    assert paths(new) == []
    assert advice_of(new, None) == ()


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ({"traffic": "5%"}, f"{STEPS}[0].steps"),
        ({"replicas": "50"}, f"{STEPS}[0].Replicas"),
        ({"replicas": "101%"}, f"{STEPS}[0].Replicas"),
        ({"replicas": "0%"}, f"{STEPS}[0].Replicas"),
        ({"replicas": 0}, f"{STEPS}[0].Replicas"),
        ({"replicas": 1, "traffic": "%5"}, f"{STEPS}[0].steps"),
        ({"replicas": 1, "traffic": "0%"}, f"{STEPS}[0].steps"),
        ({"replicas": 1, "traffic": "101%"}, f"{STEPS}[0].steps"),
        ({"replicas": "51%", "traffic": "5%"}, f"{STEPS}[0].steps"),
        ({"replicas": "51%", "matches": [{}]}, f"{STEPS}[0].steps"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(step: Obj, path: str) -> None:
    assert paths(rollout(step)) == [path]


@pytest.mark.parametrize("number", [2147483648, 99999999999])
def test_a_number_that_go_clients_cannot_read_is_refused(number: int) -> None:
    """One such object makes every typed list fail."""
    assert paths(rollout({"replicas": number})) == [f"{STEPS}[0].Replicas"]
    assert paths(blue_green({"replicas": number})) == ["Spec.Strategy.BlueGreen.Steps[0].Replicas"]
    assert paths(rollout({"replicas": 2147483647}, failureThreshold=2147483647)) == []
    for threshold in (number, -number - 1):
        new = rollout({"replicas": 1}, failureThreshold=threshold)
        assert paths(new) == ["Spec.Strategy.Canary.FailureThreshold"]
        assert paths(new, rollout({"replicas": 1})) == ["Spec.Strategy.Canary.FailureThreshold"]
    [problem] = validation.problems_of(rollout({"replicas": number}), None, (), Limits())
    assert "at most 2147483647" in problem.detail


@pytest.mark.parametrize("step", [{"replicas": 200}, {"replicas": 80, "traffic": "5%"}, {"replicas": "51%"}])
def test_numbers_of_pods_and_steps_without_traffic_are_not_limited(step: Obj) -> None:
    assert paths(rollout(step)) == []


def test_the_limit_of_a_partition_step_is_the_administrators() -> None:
    step = {"traffic": "31%", "replicas": "31%"}
    assert paths(rollout(step), limit=30) == [f"{STEPS}[0].steps"]
    assert paths(rollout(step, enableExtraWorkloadForCanary=True), limit=30) == []
    assert paths(rollout(step, ref=CLONE_SET, enableExtraWorkloadForCanary=True), limit=30) == [
        f"{STEPS}[0].steps"
    ]
    assert paths(rollout({"traffic": "100%", "replicas": "100%"}), limit=100) == []


def test_only_the_first_wrong_step_is_named() -> None:
    assert paths(rollout({"replicas": 1}, {"replicas": 0}, {"replicas": 0})) == [f"{STEPS}[1].Replicas"]


def test_steps_must_not_lose_pods_but_types_are_not_compared() -> None:
    assert paths(rollout({"replicas": 5}, {"replicas": 3})) == [f"{STEPS}.CanaryReplicas"]
    assert paths(rollout({"replicas": "50%"}, {"replicas": "30%"})) == [f"{STEPS}.CanaryReplicas"]
    assert paths(rollout({"replicas": "50%"}, {"replicas": 3}, {"replicas": 3})) == []


def test_one_strategy_is_needed_and_only_one() -> None:
    assert paths(of({"workloadRef": REF, "strategy": {}})) == ["Spec.Strategy"]
    both = {"canary": {"steps": [{"replicas": 1}]}, "blueGreen": {"steps": [{"replicas": 1}]}}
    assert paths(of({"workloadRef": REF, "strategy": both})) == ["Spec.Strategy"]
    assert paths(rollout()) == [STEPS]


def test_a_blue_green_step_may_have_no_traffic_yet() -> None:
    assert paths(blue_green({"replicas": "100%", "traffic": "0%"})) == []
    assert paths(blue_green({"replicas": "100%", "traffic": "-1%"})) == [
        "Spec.Strategy.BlueGreen.Steps[0].steps"
    ]


def test_kinds_that_cannot_be_released_are_refused() -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "name": "web"}
    stateful = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    assert paths(rollout(*GOOD, ref=job)) == [validation.WORKLOAD]
    assert validation.problems_of(rollout(*GOOD, ref=job), None, (), Limits(known_kinds_only=False)) == ()
    assert paths(rollout(*GOOD, ref=stateful)) == []
    assert paths(blue_green({"replicas": 1}, ref=stateful)) == [validation.WORKLOAD]
    assert paths(blue_green({"replicas": 1}, ref=CLONE_SET)) == []


@pytest.mark.parametrize(
    ("routing", "field"),
    [
        ({**ROUTING, "service": ""}, "Service"),
        ({**ROUTING, "gracePeriodSeconds": -1}, "GracePeriodSeconds"),
        ({"service": "web"}, "TrafficRoutings"),
        ({"service": "web", "customNetworkRefs": []}, "TrafficRoutings"),
        ({"service": "web", "ingress": {"name": ""}}, "Ingress"),
        ({"service": "web", "gateway": {}}, "Gateway"),
    ],
)
def test_a_traffic_routing_that_leads_nowhere_is_refused(routing: Obj, field: str) -> None:
    assert paths(rollout(*GOOD, routing=[routing])) == [f"Spec.Strategy.Canary.TrafficRouting.{field}"]


def test_two_traffic_routings_are_refused() -> None:
    assert paths(rollout(*GOOD, routing=[ROUTING, ROUTING])) == ["Spec.Strategy.Canary"]


def test_a_workload_belongs_to_one_rollout_whatever_version_it_is_named_by() -> None:
    other = rollout(*GOOD, name="first")
    newer = rollout(*GOOD, ref={**REF, "apiVersion": "apps/v2"}, name="first")
    assert paths(rollout(*GOOD), None, other) == ["Conflict Checker"]
    assert paths(rollout(*GOOD), None, newer) == ["Conflict Checker"]
    for part in ("kind", "name"):
        assert (
            paths(rollout(*GOOD), None, rollout(*GOOD, ref={**REF, part: "StatefulSet"}, name="first")) == []
        )
    assert paths(rollout(*GOOD), None, rollout(*GOOD)) == []


def test_a_rollout_in_conflict_since_before_can_still_be_edited() -> None:
    other = rollout(*GOOD, name="first")
    assert paths(rollout({"replicas": 1}), rollout(*GOOD), other) == []
    elsewhere = rollout(*GOOD, ref={**REF, "name": "api"})
    assert paths(rollout(*GOOD), elsewhere, other) == ["Conflict Checker"]


def test_finalizers_and_labels_of_an_invalid_rollout_can_always_be_changed() -> None:
    bad: Obj = {"workloadRef": REF, "strategy": {}}
    assert paths(of(bad), of(bad)) == []
    assert paths(of(bad, deleting=True), rollout(*GOOD)) == []


@pytest.mark.parametrize("phase", ["Progressing", "Terminating", "Disabling"])
def test_what_a_release_was_begun_with_must_stay(phase: str) -> None:
    old = rollout(*GOOD, routing=[ROUTING], phase=phase)
    alb = {"service": "web", "ingress": {"name": "web", "classType": "aliyun-alb"}}
    canary = "Spec.Strategy.Canary"
    assert paths(rollout(*GOOD, ref={**REF, "name": "api"}, routing=[ROUTING]), old) == ["Spec.ObjectRef"]
    assert paths(rollout(*GOOD, routing=[alb]), old) == [f"{canary}.TrafficRoutings"]
    assert paths(rollout(*GOOD, routing=[ROUTING], enableExtraWorkloadForCanary=True), old) == [canary]
    assert paths(rollout(*GOOD[:2], routing=[ROUTING]), old) == [canary]


def test_what_a_release_may_change_is_accepted_while_it_runs() -> None:
    old = rollout(*GOOD, routing=[ROUTING], phase="Progressing")
    steps = ({**GOOD[0], "traffic": "6%", "pause": {"duration": 5}}, *GOOD[1:])
    assert paths(rollout(*steps, routing=[ROUTING], failureThreshold="10%", trafficRoutingRef="x"), old) == []


@pytest.mark.parametrize("phase", ["", "Initial", "Healthy", "Disabled"])
def test_between_releases_everything_may_change(phase: str) -> None:
    old = rollout(*GOOD, routing=[ROUTING], phase=phase)
    assert paths(blue_green({"replicas": 1}, ref={**REF, "name": "api"}), old) == []


def test_a_problem_says_where_what_and_what_to_do() -> None:
    [problem] = validation.problems_of(rollout({"replicas": "101%"}), None, (), Limits())
    assert str(problem) == (
        'Spec.Strategy.Canary.Steps[0].Replicas: Invalid value: "101%": must be a positive number of pods,'
        ' or a percentage from "1%" to "100%"'
    )
    [forbidden] = validation.problems_of(
        rollout(*GOOD[:2]), rollout(*GOOD, phase="Progressing"), (), Limits()
    )
    assert str(forbidden).startswith(
        "Spec.Strategy.Canary: Forbidden: the style and the number of steps must not"
    )


# --- warnings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (rollout({"replicas": 1, "pause": {"duration": -1}}), "pause.duration -1 is negative"),
        (rollout(*GOOD), "no trafficRoutings"),
        (rollout({"replicas": 1}, failureThreshold="200%"), "failureThreshold '200%'"),
        (rollout({"replicas": 1}, failureThreshold="2"), "failureThreshold '2'"),
        (rollout({"replicas": 1}, patchPodTemplateMetadata={}), "patchPodTemplateMetadata has no effect"),
        (rollout({"replicas": 1}, ref={**REF, "name": ""}), "has no workload"),
        (rollout({"replicas": 1}, ref=CLONE_SET), "does not release CloneSet"),
    ],
)
def test_what_is_useless_is_accepted_with_a_warning(new: rollouts_v1beta1.Rollout, words: str) -> None:
    found = advice_of(new, None)
    assert len(found) == 1 and words in found[0] and len(found[0]) <= 250


def test_a_style_that_cannot_be_released_yet_is_warned_of_when_the_rollout_is_stored() -> None:
    plain, extra = rollout({"replicas": 1}), rollout({"replicas": 1}, enableExtraWorkloadForCanary=True)
    for new, style in ((blue_green({"replicas": 1}), "blueGreen"), (extra, "enableExtraWorkloadForCanary")):
        for old in (None, plain):
            (told,) = advice_of(new, old)
            assert (
                f"cannot release in the style {'' if style == 'blueGreen' else 'canary with '}{style}" in told
            )
            assert "use canary with enableExtraWorkloadForCanary: false" in told
            assert told.endswith("Until then nothing is released.") and len(told) <= 250
        assert advice_of(new, new) == ()


def test_a_kind_that_cannot_be_released_yet_is_warned_of_with_what_to_do() -> None:
    (told,) = advice_of(rollout({"replicas": 1}, ref={**CLONE_SET, "name": "n" * 253}), None)
    assert "Refer to an apps/v1 Deployment, or delete this Rollout" in told and len(told) <= 250


def test_the_kinds_that_are_not_warned_of_are_those_with_an_adapter() -> None:
    assert ADAPTERS.keys() == HANDLED


def test_less_traffic_than_the_step_before_is_warned_of() -> None:
    found = advice_of(rollout(*GOOD[::-1][1:], routing=[ROUTING]), None)
    assert any("less traffic (5%)" in w for w in found)


def test_traffic_that_nobody_routes_is_warned_of_when_the_rollout_is_stored() -> None:
    plain, routed = rollout({"replicas": 1}), rollout({"replicas": 1}, routing=[ROUTING])
    by_field = rollout({"replicas": 1, "traffic": "5%"}, trafficRoutingRef="shop")
    annotated = msgspec.structs.replace(plain.metadata, annotations={keys.TRAFFIC_ROUTING: "shop"})
    by_annotation = msgspec.structs.replace(plain, metadata=annotated)
    for new in (routed, by_field, by_annotation):
        for old in (None, plain):
            (told,) = advice_of(new, old)
            assert told.startswith("this controller does not route traffic; remove ") and len(told) <= 250
            assert told.endswith("Until then nothing is released.")
        assert advice_of(new, new) == ()


@pytest.mark.parametrize(
    ("now", "phase", "warned"),
    [("20%", "Progressing", True), ("60%", "Progressing", False), ("20%", "Healthy", False)],
)
def test_a_step_in_progress_that_becomes_smaller_is_warned_of(now: str, phase: str, warned: bool) -> None:
    old, new = (rollout({"replicas": r}, {"replicas": "100%"}) for r in ("50%", now))
    status = {"phase": phase, "canaryStatus": {"currentStepIndex": 1}}
    stored = msgspec.structs.replace(old, status=msgspec.convert(status, rollouts_v1beta1.RolloutStatus))
    found = advice_of(new, stored)
    assert any("step 1 is in progress and becomes smaller (50% to 20%)" in w for w in found) is warned
    assert all(len(w) <= 250 for w in found)


def test_applying_the_same_rollout_again_warns_of_nothing() -> None:
    new = rollout({"replicas": 1, "pause": {"duration": -1}})
    assert advice_of(new, new) == ()


# --- v1alpha1 ----------------------------------------------------------------------------------------------------


def old_rollout(*steps: Obj, style: str = "", phase: str = "", **more: Any) -> rollouts_v1alpha1.Rollout:
    body = {
        "metadata": {"name": "web", "annotations": {keys.ROLLING_STYLE: style}},
        "spec": {"objectRef": {"workloadRef": REF}, "strategy": {"canary": {"steps": list(steps), **more}}},
        "status": {"phase": phase},
    }
    return msgspec.convert(body, rollouts_v1alpha1.Rollout)


def old_paths(new: rollouts_v1alpha1.Rollout, old: rollouts_v1alpha1.Rollout | None = None) -> list[str]:
    return [p.path for p in validation_v1alpha1.problems_of(new, old, (), Limits())]


@pytest.mark.parametrize(
    ("steps", "style", "path"),
    [
        ([{}], "", f"{STEPS}[0].steps"),
        ([], "", STEPS),
        ([{"weight": 0}], "", f"{STEPS}[0].Weight"),
        ([{"weight": 101}], "", f"{STEPS}[0].Weight"),
        ([{"weight": 51}], "partition", f"{STEPS}[0].steps"),
        ([{"weight": 5, "replicas": "51%"}], "Partition", f"{STEPS}[0].steps"),
        ([{"replicas": "51%", "matches": []}], "partition", f"{STEPS}[0].steps"),
        ([{"replicas": "101%"}], "", f"{STEPS}[0].Replicas"),
        ([{"weight": 20}, {"weight": 10}], "", f"{STEPS}.CanaryReplicas"),
        ([{"weight": 20}, {"replicas": "10%"}], "", f"{STEPS}.CanaryReplicas"),
        ([{"weight": 20}], "bluegreen", "RollingStyle"),
    ],
)
def test_a_v1alpha1_rollout_that_makes_no_sense_is_refused(steps: list[Obj], style: str, path: str) -> None:
    assert old_paths(old_rollout(*steps, style=style)) == [path]


def test_a_v1alpha1_number_that_go_clients_cannot_read_is_refused() -> None:
    assert old_paths(old_rollout({"replicas": 99999999999})) == [f"{STEPS}[0].Replicas"]
    assert old_paths(old_rollout({"replicas": 1}, failureThreshold=99999999999)) == [
        "Spec.Strategy.Canary.FailureThreshold"
    ]


def test_a_v1alpha1_rollout_that_makes_sense_is_accepted() -> None:
    assert old_paths(old_rollout({"weight": 5}, {"weight": 80}, {"replicas": 3}, style="canary")) == []
    assert old_paths(old_rollout({"weight": 5}, {"replicas": "100%"}, style="partition")) == []
    assert old_paths(old_rollout({"weight": 150, "replicas": 1})) == []


@pytest.mark.parametrize("step", [{"weight": 51}, {"weight": 5, "replicas": "51%"}])
def test_the_limit_of_a_v1alpha1_partition_step_is_told_in_words_of_v1alpha1(step: Obj) -> None:
    new = old_rollout(step, style="partition")
    [problem] = validation_v1alpha1.problems_of(new, None, (), Limits())
    assert f"annotation {keys.ROLLING_STYLE}: canary" in problem.detail and "weight" in problem.detail
    assert "enableExtraWorkloadForCanary" not in problem.detail and "traffic and" not in problem.detail
    assert problem.value == step.get("replicas", 51)


@pytest.mark.parametrize(
    ("weight", "warned"), [(900, True), (101, True), (0, True), (-1, True), (100, False)]
)
def test_a_weight_that_v1beta1_would_refuse_is_warned_of_while_it_is_accepted(
    weight: int, warned: bool
) -> None:
    new = old_rollout({"weight": weight, "replicas": 1}, style="partition")
    assert old_paths(new) == []
    raw = {"apiVersion": keys.V1ALPHA1, "kind": "Rollout", **msgspec.json.decode(msgspec.json.encode(new))}
    shown = msgspec.convert(convert(raw, keys.V1BETA1), rollouts_v1beta1.Rollout)
    found = [
        w for w in advice_of(shown, None) if w.startswith(f"step 1: weight {weight} is not from 1 to 100")
    ]
    assert bool(found) is warned and bool(paths(shown)) is warned
    assert all(len(w) <= 250 for w in found)


def test_weights_must_not_decrease_where_there_is_traffic() -> None:
    steps = ({"weight": 20, "replicas": 1}, {"weight": 10, "replicas": 1})
    assert old_paths(old_rollout(*steps)) == []
    assert old_paths(old_rollout(*steps, trafficRoutings=[ROUTING])) == [f"{STEPS}.Weight"]


def test_a_v1alpha1_rollout_without_workload_or_strategy_is_refused_not_crashed_on() -> None:
    empty = msgspec.convert({"spec": {}}, rollouts_v1alpha1.Rollout)
    assert old_paths(empty) == [validation.WORKLOAD, "Spec.Strategy.Canary"]


def test_v1alpha1_locks_workload_routing_and_style_during_a_release_but_not_the_steps() -> None:
    old = old_rollout({"weight": 5}, phase="Progressing", trafficRoutings=[ROUTING])
    assert old_paths(old_rollout({"weight": 5}, {"weight": 6}, trafficRoutings=[ROUTING]), old) == []
    assert old_paths(old_rollout({"weight": 5}), old) == ["Spec.Strategy.Canary.TrafficRoutings"]
    assert old_paths(old_rollout({"weight": 5}, style="partition", trafficRoutings=[ROUTING]), old) == [
        "Metadata.Annotation"
    ]
