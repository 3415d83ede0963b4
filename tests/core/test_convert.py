"""Converting Rollouts and BatchReleases: nothing is lost, edits win, nothing crashes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_rollouts.api import keys
from kruise_rollouts.api.convert import CannotConvert, convert

OLD, NEW = keys.V1ALPHA1, keys.V1BETA1
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
Obj = dict[str, Any]


def rollout(spec: Obj, version: str = NEW, status: Obj | None = None, **annotations: str) -> Obj:
    named = {"style": keys.ROLLING_STYLE, "traffic": keys.TRAFFIC_ROUTING}
    metadata: Obj = {"name": "web", "namespace": "shop"}
    if annotations:
        metadata["annotations"] = {named.get(k, k): v for k, v in annotations.items()}
    made = {"apiVersion": version, "kind": "Rollout", "metadata": metadata, "spec": spec}
    return made if status is None else {**made, "status": status}


def canary(*steps: Obj, **more: Any) -> Obj:
    return {"workloadRef": REF, "strategy": {"canary": {"steps": list(steps), **more}}}


def old_canary(*steps: Obj, **more: Any) -> Obj:
    return {"objectRef": {"workloadRef": REF}, "strategy": {"canary": {"steps": list(steps), **more}}}


def annotations_of(obj: Obj) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"].get("annotations", {})
    return found


# --- the published table -----------------------------------------------------------------------------------------


def test_a_weight_becomes_traffic_and_replicas() -> None:
    new = convert(rollout(old_canary({"weight": 5}, {"weight": 50, "replicas": 3}), OLD), NEW)
    assert new["spec"]["strategy"]["canary"]["steps"] == [
        {"traffic": "5%", "replicas": "5%"},
        {"traffic": "50%", "replicas": 3},
    ]
    assert new["spec"]["workloadRef"] == REF


@pytest.mark.parametrize(
    ("style", "extra"),
    [("partition", None), ("Partition", None), ("canary", True), ("junk", True), (None, True)],
)
def test_the_style_annotation_decides_the_extra_workload(style: str | None, extra: bool | None) -> None:
    given_style = {} if style is None else {"style": style}
    new = convert(rollout(old_canary(), OLD, **given_style), NEW)
    assert new["spec"]["strategy"]["canary"].get("enableExtraWorkloadForCanary") is extra


def test_traffic_becomes_a_weight_and_the_style_an_annotation() -> None:
    old = convert(rollout(canary({"traffic": "20%", "replicas": 2}, enableExtraWorkloadForCanary=True)), OLD)
    assert old["spec"] == old_canary({"weight": 20, "replicas": 2})
    assert annotations_of(old)[keys.ROLLING_STYLE] == "canary"
    assert keys.OTHER_VERSION not in annotations_of(old)


def test_a_traffic_routing_reference_is_an_annotation_in_v1alpha1() -> None:
    old = convert(rollout(canary(trafficRoutingRef="gold")), OLD)
    assert annotations_of(old)[keys.TRAFFIC_ROUTING] == "gold"
    new = convert(rollout(old_canary(), OLD, traffic="gold"), NEW)
    assert new["spec"]["strategy"]["canary"]["trafficRoutingRef"] == "gold"
    assert annotations_of(new)[keys.TRAFFIC_ROUTING] == "gold"


def test_the_switch_for_the_canary_service_exists_in_both_versions() -> None:
    old = convert(rollout(canary(disableGenerateCanaryService=True)), OLD)
    assert old["spec"]["strategy"]["canary"]["disableGenerateCanaryService"] is True
    assert convert(old, NEW)["spec"]["strategy"]["canary"]["disableGenerateCanaryService"] is True


def test_a_blue_green_rollout_is_shown_as_such_and_comes_back_whole() -> None:
    spec = {"workloadRef": REF, "strategy": {"paused": True, "blueGreen": {"steps": [{"replicas": "100%"}]}}}
    status = {
        "currentStepIndex": 1,
        "currentStepState": "StepPaused",
        "blueGreenStatus": {"nextStepIndex": 2},
    }
    old = convert(rollout(spec, status=status), OLD)
    assert old["spec"] == {"objectRef": {"workloadRef": REF}, "strategy": {"paused": True}}
    assert annotations_of(old)[keys.ROLLING_STYLE] == "bluegreen"
    assert old["status"] == status
    assert convert(old, NEW) == rollout(spec, status=status)


@pytest.mark.parametrize("spec", [{}, {"strategy": {}}, {"objectRef": {}, "strategy": {}}])
def test_an_object_that_lacks_almost_everything_is_converted(spec: Obj) -> None:
    new = convert(rollout(copy.deepcopy(spec), OLD), NEW)
    assert new["spec"]["strategy"] == {}
    assert convert(new, OLD)["spec"] == spec
    assert convert(rollout({"workloadRef": REF, "strategy": {}}), OLD)["spec"]["strategy"] == {}


def test_malformed_traffic_has_no_weight_and_is_not_forgotten() -> None:
    whole = rollout(canary({"traffic": "5.5%", "replicas": 1}))
    old = convert(whole, OLD)
    assert old["spec"]["strategy"]["canary"]["steps"] == [{"replicas": 1}]
    assert convert(old, NEW) == whole


def test_mirrors_that_v1beta1_requires_are_filled_from_the_sub_status() -> None:
    status = {
        "phase": "Progressing",
        "canaryStatus": {"currentStepIndex": 2, "currentStepState": "StepPaused"},
    }
    new = convert(rollout(old_canary(), OLD, status=status), NEW)
    assert (new["status"]["currentStepIndex"], new["status"]["currentStepState"]) == (2, "StepPaused")
    assert convert(rollout(old_canary(), OLD, status={}), NEW)["status"] == {
        "currentStepIndex": 0,
        "currentStepState": "",
    }


def test_a_batch_release_keeps_its_style_from_annotation_or_field() -> None:
    plan = {"batches": [], "enableExtraWorkloadForCanary": False}
    base: Obj = {"apiVersion": OLD, "kind": "BatchRelease", "metadata": {"name": "web"}}
    spec = {"targetReference": {"workloadRef": REF}, "releasePlan": plan}
    by_field = {**base, "spec": {**spec, "releasePlan": {**plan, "rollingStyle": "BlueGreen"}}}
    by_annotation = {**base, "metadata": {"annotations": {keys.ROLLING_STYLE: "bluegreen"}}, "spec": spec}
    for old in (by_field, by_annotation):
        new = convert(old, NEW)
        assert new["spec"] == {"workloadRef": REF, "releasePlan": {**plan, "rollingStyle": "BlueGreen"}}
        assert annotations_of(convert(new, OLD))[keys.ROLLING_STYLE] == "bluegreen"


def test_other_kinds_and_versions_are_refused() -> None:
    for obj, desired in (
        (rollout({}), "rollouts.kruise.io/v2"),
        ({"kind": "TrafficRouting", "apiVersion": OLD}, NEW),
        ({}, NEW),
    ):
        with pytest.raises(CannotConvert):
            convert(obj, desired)


# --- what the other version cannot say ---------------------------------------------------------------------------

PATH = {"path": {"type": "Exact", "value": "/new"}, "headers": [{"name": "user", "value": "a"}]}
QUERY = {"queryParams": [{"name": "beta", "value": "1"}]}


def test_an_edit_through_v1alpha1_wins_and_the_rest_stays() -> None:
    whole = rollout(
        canary({"matches": [PATH], "replicas": 1}, {"matches": [QUERY], "traffic": "20%", "replicas": 2})
    )
    old = convert(whole, OLD)
    steps = old["spec"]["strategy"]["canary"]["steps"]
    assert "path" not in steps[0]["matches"][0]
    steps[0]["replicas"] = 5
    steps[1]["weight"] = 30
    new = convert(old, NEW)
    assert new["spec"] == canary(
        {"matches": [PATH], "replicas": 5}, {"matches": [QUERY], "traffic": "30%", "replicas": 2}
    )
    assert annotations_of(new) == {}


def test_a_step_put_in_front_does_not_inherit_the_matches_of_another() -> None:
    whole = rollout(canary({"matches": [PATH], "replicas": 1}, {"traffic": "50%", "replicas": 5}))
    old = convert(whole, OLD)
    old["spec"]["strategy"]["canary"]["steps"].insert(0, {"weight": 1, "replicas": 1})
    assert convert(old, NEW)["spec"]["strategy"]["canary"]["steps"] == [
        {"traffic": "1%", "replicas": 1},
        {"matches": [PATH], "replicas": 1},
        {"traffic": "50%", "replicas": 5},
    ]


def test_a_removed_step_takes_its_matches_with_it() -> None:
    whole = rollout(canary({"matches": [PATH], "replicas": 1}, {"matches": [QUERY], "replicas": 5}))
    old = convert(whole, OLD)
    del old["spec"]["strategy"]["canary"]["steps"][0]
    assert convert(old, NEW)["spec"]["strategy"]["canary"]["steps"] == [{"matches": [QUERY], "replicas": 5}]


def test_a_blue_green_rollout_given_a_canary_strategy_becomes_canary() -> None:
    old = convert(rollout({"workloadRef": REF, "strategy": {"blueGreen": {"steps": [{"replicas": 1}]}}}), OLD)
    old["spec"]["strategy"]["canary"] = {"steps": [{"weight": 10, "replicas": 1}]}
    assert set(convert(old, NEW)["spec"]["strategy"]) == {"canary"}


def test_a_deprecated_field_of_v1alpha1_survives_a_stay_in_v1beta1() -> None:
    whole = rollout({**old_canary({"weight": 5}), "rolloutID": "r1"}, OLD, style="partition")
    new = convert(whole, NEW)
    new["spec"]["disabled"] = True
    back = convert(new, OLD)
    assert back["spec"] == {**whole["spec"], "disabled": True}


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "[]",
        '{"version":"rollouts.kruise.io/v1beta1","spec":{"strategy":{"canary":{"steps":"no"}}}}',
        '{"version":"rollouts.kruise.io/v1alpha1","spec":{}}',
    ],
)
def test_garbage_in_our_annotation_is_dropped(text: str) -> None:
    obj = rollout(old_canary({"weight": 5}), OLD, style="partition", **{keys.OTHER_VERSION: text})
    new = convert(obj, NEW)
    assert keys.OTHER_VERSION not in annotations_of(new)
    assert new["spec"] == canary({"traffic": "5%", "replicas": "5%"})


def test_a_saved_original_with_values_of_the_wrong_type_is_not_used() -> None:
    text = '{"version":"rollouts.kruise.io/v1beta1","spec":{"strategy":{"canary":{"steps":[{"matches":[{"path":1}]}]}}}}'
    obj = rollout(old_canary({"matches": [{}]}), OLD, style="partition", **{keys.OTHER_VERSION: text})
    assert convert(obj, NEW)["spec"] == canary({"matches": [{}]})


def test_the_original_is_not_changed() -> None:
    whole = rollout(canary({"matches": [PATH], "replicas": 1}), a="b")
    before = copy.deepcopy(whole)
    old = convert(whole, OLD)
    old["spec"]["strategy"]["canary"]["steps"][0]["replicas"] = 9
    old["metadata"]["annotations"]["a"] = "c"
    assert whole == before


# --- properties --------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "gold"])
percents = st.sampled_from(["0%", "5%", "20%", "100%", "+5%", "5.5%", "", "7"])
amounts = st.one_of(st.integers(0, 20), percents)
pairs = st.lists(st.fixed_dictionaries({"name": names, "value": names}), max_size=2)
heads = st.fixed_dictionaries({}, optional={"headers": pairs})
matches = st.fixed_dictionaries(
    {}, optional={"headers": pairs, "queryParams": pairs, "path": st.fixed_dictionaries({"value": names})}
)
common_step: Obj = {
    "replicas": amounts,
    "pause": st.fixed_dictionaries({}, optional={"duration": st.integers(0, 60)}),
    "requestHeaderModifier": st.fixed_dictionaries({}, optional={"set": pairs}),
}
common_canary: Obj = {
    "trafficRoutings": st.lists(st.fixed_dictionaries({"service": names}), max_size=1),
    "failureThreshold": amounts,
    "patchPodTemplateMetadata": st.fixed_dictionaries({}, optional={"labels": st.dictionaries(names, names)}),
    "disableGenerateCanaryService": st.booleans(),
}
new_steps = st.lists(
    st.fixed_dictionaries(
        {}, optional={**common_step, "traffic": percents, "matches": st.lists(matches, max_size=2)}
    ),
    max_size=3,
)
old_steps = st.lists(
    st.fixed_dictionaries(
        {}, optional={**common_step, "weight": st.integers(-1, 120), "matches": st.lists(heads, max_size=2)}
    ),
    max_size=3,
)
new_canary = st.fixed_dictionaries(
    {}, optional={**common_canary, "steps": new_steps, "enableExtraWorkloadForCanary": st.just(True),
                  "trafficRoutingRef": names}
)  # fmt: skip
flags: Obj = {"disabled": st.booleans()}
new_specs = st.fixed_dictionaries(
    {
        "workloadRef": st.just(REF),
        "strategy": st.fixed_dictionaries(
            {}, optional={"paused": st.booleans(), "canary": new_canary, "blueGreen": new_canary}
        ),
    },
    optional=flags,
)
old_specs = st.fixed_dictionaries(
    {
        "objectRef": st.sampled_from([{"workloadRef": REF}, {}]),
        "strategy": st.fixed_dictionaries(
            {},
            optional={
                "paused": st.booleans(),
                "canary": st.fixed_dictionaries({}, optional={**common_canary, "steps": old_steps}),
            },
        ),
    },
    optional={**flags, "rolloutID": names},
)
statuses = st.fixed_dictionaries(
    {"currentStepIndex": st.integers(0, 3), "currentStepState": names},
    optional={"phase": names, "blueGreenStatus": st.just({"nextStepIndex": 2})},
)
traffic_annotation = st.fixed_dictionaries({}, optional={keys.TRAFFIC_ROUTING: names, "other": names})
styles = st.sampled_from([None, "", "partition", "Partition", "canary", "bluegreen", "junk"])


@settings(max_examples=150, deadline=None)
@given(spec=new_specs, status=statuses, annotations=traffic_annotation)
def test_v1beta1_to_v1alpha1_and_back_is_the_identity(
    spec: Obj, status: Obj, annotations: dict[str, str]
) -> None:
    whole = rollout(spec, status=status, **annotations)
    assert convert(convert(whole, OLD), NEW) == whole


@settings(max_examples=150, deadline=None)
@given(spec=old_specs, status=statuses, annotations=traffic_annotation, style=styles)
def test_v1alpha1_to_v1beta1_and_back_is_the_identity_but_for_a_style_made_explicit(
    spec: Obj, status: Obj, annotations: dict[str, str], style: str | None
) -> None:
    given_style = {} if style is None else {"style": style}
    whole = rollout(spec, OLD, status=status, **annotations, **given_style)
    back = convert(convert(whole, NEW), OLD)
    if not style and "canary" in spec["strategy"]:
        assert (annotations_of(back).pop(keys.ROLLING_STYLE, None) or "canary") == "canary"
        annotations_of(whole).pop(keys.ROLLING_STYLE, None)
    assert annotations_of(back) == annotations_of(whole)
    assert (back["spec"], back["status"]) == (whole["spec"], whole["status"])


@settings(max_examples=100, deadline=None)
@given(first=new_specs, second=new_specs)
def test_an_edit_of_v1beta1_is_never_undone_by_what_v1alpha1_saved(first: Obj, second: Obj) -> None:
    old = convert(rollout(first), OLD)
    stored = convert(old, NEW)
    stored["spec"] = copy.deepcopy(second)
    assert convert(convert(stored, OLD), NEW)["spec"] == second


@settings(max_examples=100, deadline=None)
@given(first=old_specs, second=old_specs)
def test_what_a_person_writes_in_v1alpha1_is_what_v1alpha1_shows(first: Obj, second: Obj) -> None:
    seen = convert(convert(rollout(first, OLD, style="partition"), NEW), OLD)
    seen["spec"] = copy.deepcopy(second)
    assert convert(convert(seen, NEW), OLD)["spec"] == second


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(["strategy", "canary", "blueGreen", "steps", "matches", "weight", "traffic", "objectRef",
                         "workloadRef", "releasePlan", "rollingStyle", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    spec=json_values,
    metadata=json_values,
    status=json_values,
    kind=st.sampled_from(["Rollout", "BatchRelease"]),
)
def test_no_content_makes_a_conversion_fail(spec: Any, metadata: Any, status: Any, kind: str) -> None:
    for version, other in ((OLD, NEW), (NEW, OLD)):
        obj = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status}
        made = convert(obj, other)
        assert made["apiVersion"] == other
        convert(made, version)
