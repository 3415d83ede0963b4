"""What an update of a Deployment becomes: let through, held, mended, refused; and what the person is told."""

from __future__ import annotations

import copy
import json
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_rollouts.api import keys
from kruise_rollouts.api.annotations import parse_extra_status, parse_partition_strategy
from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.core.admission import ANNOTATIONS, PASS, Attempt, Verdict, hold_workload
from kruise_rollouts.core.revision import template_hash
from kruise_rollouts.core.settings import original_of, restored_spec
from kruise_rollouts.kube.patch import merge_patch

Obj = dict[str, Any]
T = TypeVar("T")


def read(obj: Obj, of: type[T]) -> T:
    """`obj` as it is when it comes over the wire: a pod template stays text."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=of)


MARK = '{"rolloutName":"web"}'


def template(version: str) -> Obj:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": f"web:{version}"}]},
    }


def deployment(
    version: str = "v1", *, labels: Obj | None = None, annotations: Obj | None = None, **spec: Any
) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u-web",
            "labels": labels or {},
            "annotations": annotations or {},
        },
        "spec": {
            "replicas": 10,
            "template": template(version),
            "progressDeadlineSeconds": 600,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            **spec,
        },
    }


def replica_set(version: str, replicas: int, revision: int, owner: str = "u-web") -> ReplicaSet:
    body = {
        "metadata": {
            "name": f"web-{version}",
            "labels": {"pod-template-hash": f"hash-{version}"},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": owner, "controller": True}],
        },
        "spec": {
            "replicas": replicas,
            "template": {
                **template(version),
                "metadata": {"labels": {"app": "web", "pod-template-hash": "x"}},
            },
        },
    }
    return read(body, ReplicaSet)


def rollout(*steps: Obj, routed: bool = False, **more: Any) -> Rollout:
    steps = steps or ({"replicas": "20%", "traffic": "20%"}, {"replicas": "100%"})
    canary: Obj = {"steps": list(steps)}
    if routed:
        canary["trafficRoutings"] = [{"service": "web", "ingress": {"name": "web"}}]
    body = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "strategy": {"canary": canary},
        },
    }
    return msgspec.convert(merge_patch(body, more), Rollout)


V1 = replica_set("v1", 10, 1)


def admit(
    old: Obj,
    new: Obj,
    *rollouts: Rollout,
    sets: tuple[ReplicaSet, ...] = (V1,),
    manager: str = "kubectl-client-side-apply",
) -> tuple[Obj, Verdict]:
    """The object as it is admitted, and the verdict."""
    before, after = read(old, Deployment), read(new, Deployment)
    verdict = hold_workload(Attempt(after, before, rollouts, sets, manager))
    admitted: Obj = merge_patch(copy.deepcopy(new), verdict.body)
    return admitted, verdict


def annotations_of(obj: Obj) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"]["annotations"]
    return found


# --- a release begins --------------------------------------------------------------------------------------------


def test_a_new_template_is_held_and_marked_in_the_same_write() -> None:
    admitted, _ = admit(deployment("v1"), deployment("v2"), rollout())
    assert admitted["spec"]["paused"] is True
    assert annotations_of(admitted)[keys.IN_PROGRESSING] == MARK
    assert admitted["metadata"]["labels"][keys.STABLE_REVISION] == "hash-v1"
    assert admitted["metadata"]["labels"][keys.WORKLOAD_TYPE] == "deployment"
    assert admitted["spec"]["strategy"] == deployment()["spec"]["strategy"]
    assert admitted["spec"]["template"] == template("v2")


def test_the_person_is_told_at_once_what_happens_and_what_to_do() -> None:
    _, verdict = admit(deployment("v1"), deployment("v2"), rollout(routed=True))
    assert verdict.warnings == (
        "Rollout web holds this update: step 1 of 2 gives 2 of 10 pods the new version and 20% of the traffic,"
        " then waits for approval.",
        "To approve a step: kubectl kruise rollout approve rollout/web -n shop",
        "To go back: kubectl kruise rollout undo rollout/web -n shop",
    )


def test_a_step_that_waits_for_time_says_how_long() -> None:
    timed = rollout({"replicas": 3, "pause": {"duration": 60}})
    _, verdict = admit(deployment("v1"), deployment("v2"), timed)
    assert "gives 3 of 10 pods the new version, then waits 60 s" in verdict.warnings[0]
    assert not any("approve" in w for w in verdict.warnings)


def test_a_paused_rollout_and_a_recreate_strategy_are_mentioned() -> None:
    paused = rollout(spec={"strategy": {"paused": True}})
    recreate = {"type": "Recreate"}
    _, verdict = admit(deployment("v1"), deployment("v2", strategy=recreate), paused)
    assert (
        "once the Rollout is resumed (kubectl kruise rollout resume rollout/web -n shop)"
        in verdict.warnings[0]
    )
    assert "one at a time" in verdict.warnings[-1]


def test_who_waits_for_a_rollout_that_cannot_move_is_told_why() -> None:
    stalled = {"type": "Stalled", "status": "True", "reason": "InvalidPlan", "message": "add a step. " * 40}
    _, verdict = admit(deployment("v1"), deployment("v2"), rollout(status={"conditions": [stalled]}))
    assert verdict.warnings[0] == "Rollout web holds this update."
    assert verdict.warnings[1].startswith("It will not move before this is solved: add a step.")
    assert not any("approve" in w for w in verdict.warnings)
    assert len(verdict.warnings[1]) <= 250
    over = {**stalled, "status": "False"}
    assert not any(
        "solved" in w
        for w in admit(deployment("v1"), deployment("v2"), rollout(status={"conditions": [over]}))[1].warnings
    )


def test_who_applies_a_rejected_version_again_is_told_that_no_pod_gets_it() -> None:
    new = read(deployment("v2"), Deployment)
    rejected = f"other,{template_hash(new.spec.template)}"
    again = rollout(metadata={"annotations": {"rollouts.kruise.io/rejected-revision": rejected}})
    _, verdict = admit(deployment("v1"), deployment("v2"), again)
    assert verdict.warnings[0].endswith(
        "it was rolled back before, and no pod gets it unless it is approved."
    )
    assert "approve" in verdict.warnings[1] and "undo" in verdict.warnings[2]
    _, verdict = admit(deployment("v1"), deployment("v3"), again)
    assert "step 1 of 2" in verdict.warnings[0]


BAD_ID = {"annotations": {keys.ROLLOUT_ID: "release #5 / blue"}}


def test_who_names_a_release_with_what_cannot_be_a_label_is_told_at_once() -> None:
    _, verdict = admit(deployment("v1"), deployment("v2", **BAD_ID), rollout())
    (told,) = [w for w in verdict.warnings if "rollout-id" in w]
    assert '"release #5 / blue"' in told and "at most 63" in told and "will not move" in told
    long: Obj = {"annotations": {keys.ROLLOUT_ID: '"n \\' * 100}}
    assert max(map(len, admit(deployment("v1"), deployment("v2", **long), rollout())[1].warnings)) <= 250
    good: Obj = {"annotations": {keys.ROLLOUT_ID: "r5"}}
    bad_before = {"type": "Stalled", "status": "True", "reason": "InvalidRolloutID", "message": "x"}
    stalled = rollout(status={"conditions": [bad_before]})
    _, verdict = admit(deployment("v1", **BAD_ID), deployment("v2", **good), stalled)
    assert not any("will not move" in w for w in verdict.warnings), "it is mended by this very update"


def test_who_renames_a_release_under_way_with_what_cannot_be_a_label_is_told_at_once() -> None:
    marked = {keys.IN_PROGRESSING: MARK}
    old = deployment("v2", annotations=marked, paused=True)
    new = deployment("v2", annotations={**marked, **BAD_ID["annotations"]}, paused=True)
    _, verdict = admit(old, new, rollout())
    (told,) = verdict.warnings
    assert "release #5 / blue" in told
    assert admit(new, new, rollout())[1].warnings == ()
    version = deployment("v3", annotations={**marked, **BAD_ID["annotations"]}, paused=True)
    assert any("release #5 / blue" in w for w in admit(new, version, rollout())[1].warnings)


def test_long_names_do_not_make_long_warnings() -> None:
    name = "n" * 63
    long = rollout(metadata={"name": name, "namespace": name})
    _, verdict = admit(deployment("v1"), deployment("v2"), long)
    assert max(map(len, verdict.warnings)) <= 250


@pytest.mark.parametrize(
    "other",
    [
        rollout(spec={"disabled": True}, status={"phase": "Disabled"}),
        rollout(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        rollout(spec={"disabled": True}),
        rollout(spec={"workloadRef": {"name": "api"}}),
        rollout(spec={"workloadRef": {"kind": "StatefulSet"}}),
        rollout(spec={"workloadRef": {"apiVersion": "other/v1"}}),
        rollout(spec={"strategy": {"canary": None}}),
    ],
)
def test_a_deployment_that_no_rollout_releases_is_left_alone(other: Rollout) -> None:
    assert admit(deployment("v1"), deployment("v2"), other)[1] == PASS


def test_the_version_in_the_reference_does_not_matter() -> None:
    admitted, _ = admit(
        deployment("v1"), deployment("v2"), rollout(spec={"workloadRef": {"apiVersion": "apps/v9"}})
    )
    assert admitted["spec"]["paused"] is True


@pytest.mark.parametrize(
    "new",
    [
        deployment("v1", replicas=20),
        deployment("v1", labels={"a": "b"}, annotations={"rollouts.kruise.io/rollout-id": "r2"}),
        deployment("v1", paused=True),
        deployment("v1", template={**template("v1"), "spec": {**template("v1")["spec"], "volumes": []}}),
    ],
)
def test_an_update_that_keeps_the_template_is_left_alone(new: Obj) -> None:
    assert admit(deployment("v1"), new, rollout())[1] == PASS


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_a_new_template_is_held_even_if_the_rollout_id_stays(where: str) -> None:
    same = {where: {keys.ROLLOUT_ID: "r1"}}
    admitted, _ = admit(deployment("v1", **same), deployment("v2", **same), rollout())
    assert admitted["spec"]["paused"] is True


def test_without_replicas_or_pods_nothing_is_held_and_the_person_is_told() -> None:
    admitted, verdict = admit(deployment("v1", replicas=0), deployment("v2", replicas=0), rollout(), sets=())
    assert "paused" not in admitted["spec"] and "with 0 replicas" in verdict.warnings[0]
    admitted, verdict = admit(deployment("v1"), deployment("v2"), rollout(), sets=())
    assert "paused" not in admitted["spec"] and "no pods of an earlier version" in verdict.warnings[0]


def test_going_back_to_what_all_pods_run_releases_nothing() -> None:
    assert admit(deployment("v2", paused=True), deployment("v1", paused=True), rollout())[1] == PASS


def test_with_traffic_an_unfinished_native_update_is_not_run_over() -> None:
    sets = (replica_set("v1", 4, 1), replica_set("v2", 6, 2))
    _, verdict = admit(deployment("v2"), deployment("v3"), rollout(routed=True), sets=sets)
    assert "runs 2 versions at once" in verdict.refusal and "spec.disabled" in verdict.refusal
    assert verdict.body == {}


def test_with_traffic_the_way_back_out_of_an_unfinished_native_update_stays_open() -> None:
    sets = (replica_set("v1", 4, 1), replica_set("v2", 6, 2))
    admitted, verdict = admit(deployment("v2"), deployment("v1"), rollout(routed=True), sets=sets)
    assert "paused" not in admitted["spec"] and not verdict.refusal
    assert "does not hold this update" in verdict.warnings[0]


def test_without_traffic_an_unfinished_native_update_is_held_with_the_oldest_as_stable() -> None:
    sets = (replica_set("v1", 6, 12), replica_set("v2", 4, 9), replica_set("v0", 0, 1))
    admitted, _ = admit(deployment("v1"), deployment("v3"), rollout(), sets=sets)
    assert admitted["metadata"]["labels"][keys.STABLE_REVISION] == "hash-v2"


def test_replica_sets_of_others_do_not_count() -> None:
    sets = (V1, replica_set("v0", 5, 9, owner="u-other"))
    admitted, verdict = admit(deployment("v1"), deployment("v2"), rollout(routed=True), sets=sets)
    assert admitted["spec"]["paused"] is True and not verdict.refusal


def test_an_object_sent_without_uid_is_held_too() -> None:
    new = deployment("v2")
    del new["metadata"]["uid"]
    assert admit(deployment("v1"), new, rollout())[0]["spec"]["paused"] is True


def test_a_mark_copied_from_elsewhere_does_not_begin_a_release() -> None:
    admitted, _ = admit(
        deployment("v1"), deployment("v1", annotations={keys.IN_PROGRESSING: MARK}), rollout()
    )
    assert annotations_of(admitted) == {}
    assert "paused" not in admitted["spec"]


def test_a_manifest_saved_in_the_middle_of_a_release_says_nothing_about_the_next_one() -> None:
    """Its partition would let go of all pods at once."""
    saved = {
        keys.IN_PROGRESSING: MARK,
        keys.DEPLOYMENT_STRATEGY: '{"rollingStyle":"Partition","partition":"100%"}',
        keys.CONTROL_INFO: "{}",
        "team": "a",
    }
    for version in ("v1", "v2"):
        admitted, _ = admit(deployment("v1"), deployment(version, annotations=saved), rollout())
        left = {k: v for k, v in annotations_of(admitted).items() if k != keys.IN_PROGRESSING}
        assert left == {"team": "a"}
    admitted, _ = admit(
        deployment("v1", annotations={keys.DEPLOYMENT_STRATEGY: "own"}),
        deployment("v2", annotations={**saved, keys.IN_PROGRESSING: ""}),
        rollout(),
    )
    assert annotations_of(admitted)[keys.DEPLOYMENT_STRATEGY] == "own"


def test_our_own_writes_pass() -> None:
    marks = {keys.IN_PROGRESSING: MARK}
    released = deployment("v2", paused=False)
    assert (
        admit(
            deployment("v2", annotations=marks, paused=True), released, rollout(), manager="kruise-rollout"
        )[1]
        == PASS
    )


# --- a release goes on -------------------------------------------------------------------------------------------

STRATEGY = (
    '{"rollingStyle":"Partition","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"},"partition":"20%"}'
)
SAVED = (
    '{"updatedReadyReplicas":2,"expectedUpdatedReplicas":2,"original":{"maxUnavailable":"25%","maxSurge":"25%",'
    '"minReadySeconds":5,"progressDeadlineSeconds":600}}'
)
MARKS = {
    keys.IN_PROGRESSING: MARK,
    keys.DEPLOYMENT_STRATEGY: STRATEGY,
    keys.DEPLOYMENT_EXTRA_STATUS: SAVED,
    keys.CONTROL_INFO: '{"uid":"u-release"}',
}
LABELS = {keys.STABLE_REVISION: "hash-v1", keys.ADVANCED_DEPLOYMENT: "true", keys.WORKLOAD_TYPE: "deployment"}
BOUND = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 2}}
SETS = (replica_set("v1", 8, 1), replica_set("v2", 2, 2))


def moving(version: str = "v2", **spec: Any) -> Obj:
    """As the engine has it in the middle of a batch."""
    own = {"minReadySeconds": keys.MAX_READY_SECONDS, "progressDeadlineSeconds": keys.MAX_PROGRESS_SECONDS}
    return deployment(version, labels=LABELS, annotations=MARKS, **{**own, "strategy": BOUND, **spec})


def resting(version: str = "v2", **spec: Any) -> Obj:
    """As the engine has it between two batches."""
    rest = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"}}
    return deployment(
        version,
        labels=LABELS,
        annotations=MARKS,
        **{"paused": True, "minReadySeconds": 5, "strategy": rest, **spec},
    )


def going_on(old: Obj, new: Obj, **more: Any) -> tuple[Obj, Verdict]:
    return admit(old, new, more.pop("by", rollout()), sets=SETS, **more)


@pytest.mark.parametrize("old", [moving(), resting()], ids=["moving", "resting"])
def test_replacing_the_whole_object_changes_nothing_of_the_release(old: Obj) -> None:
    manifest = deployment("v2", minReadySeconds=5)
    admitted, _ = going_on(old, manifest)
    assert admitted == old


@pytest.mark.parametrize("old", [moving(), resting()], ids=["moving", "resting"])
def test_a_manifest_without_a_strategy_takes_none_away(old: Obj) -> None:
    manifest = deployment("v2", minReadySeconds=5)
    del manifest["spec"]["strategy"]
    assert going_on(old, manifest)[0]["spec"]["strategy"] == old["spec"]["strategy"]


@pytest.mark.parametrize("old", [moving(), resting()], ids=["moving", "resting"])
def test_an_unchanged_object_is_admitted_without_a_word(old: Obj) -> None:
    assert going_on(old, copy.deepcopy(old))[1] == PASS


def test_applying_the_same_manifest_again_during_a_move_is_right_and_silent() -> None:
    own = {"strategy": deployment()["spec"]["strategy"], "minReadySeconds": 5, "progressDeadlineSeconds": 600}
    admitted, verdict = going_on(moving(), moving(**own))
    assert admitted == moving()
    assert verdict.warnings == ()


def test_a_held_deployment_cannot_be_resumed_behind_the_back_of_its_rollout() -> None:
    status = {"canaryStatus": {"currentStepIndex": 1}}
    admitted, verdict = going_on(
        resting(), resting(paused=False), by=rollout(status=status), manager="kubectl-rollout"
    )
    assert admitted == resting()
    assert verdict.warnings == (
        "Rollout web holds this Deployment at step 1 of 2; it stays paused.",
        "To go on: kubectl kruise rollout approve rollout/web -n shop",
        "To go back: kubectl kruise rollout undo rollout/web -n shop --to-revision=1",
    )


def test_a_moving_deployment_is_paused_through_its_rollout() -> None:
    admitted, verdict = going_on(moving(), moving(paused=True))
    assert not admitted["spec"]["paused"]
    assert "kubectl kruise rollout pause rollout/web -n shop" in verdict.warnings[0]


def test_scaling_passes_during_a_release() -> None:
    admitted, verdict = going_on(resting(), resting(replicas=20))
    assert admitted["spec"]["replicas"] == 20 and verdict == PASS


def test_taking_the_mark_away_by_hand_is_undone_and_said() -> None:
    new = resting()
    new["metadata"]["annotations"] = {k: v for k, v in MARKS.items() if k != keys.IN_PROGRESSING}
    admitted, verdict = going_on(resting(), new)
    assert admitted == resting()
    assert "its marks and its pause stay" in verdict.warnings[0]


def test_writing_a_larger_partition_by_hand_is_undone() -> None:
    new = resting()
    new["metadata"]["annotations"] = {**MARKS, keys.DEPLOYMENT_STRATEGY: STRATEGY.replace("20%", "100%")}
    assert going_on(resting(), new)[0] == resting()


def test_once_its_rollout_is_gone_a_deployment_is_free() -> None:
    gone = rollout(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert going_on(resting(), resting(paused=False), by=gone)[1] == PASS
    assert admit(resting(), resting(paused=False))[1] == PASS


@pytest.mark.parametrize("old", [moving(), resting()], ids=["moving", "resting"])
def test_a_third_version_stands_still_until_the_release_begins_again(old: Obj) -> None:
    new = copy.deepcopy(old)
    new["spec"]["template"] = template("v3")
    admitted, verdict = going_on(old, new)
    assert admitted["spec"]["paused"] is True
    strategy = parse_partition_strategy(annotations_of(admitted)[keys.DEPLOYMENT_STRATEGY])
    assert strategy is not None and strategy.paused
    assert admitted["metadata"]["labels"][keys.STABLE_REVISION] == "hash-v1"
    assert verdict.warnings[0].startswith(
        "Rollout web starts over with this version: step 1 of 2 gives 2 of 10 pods"
    )


def test_going_back_to_the_stable_version_is_recognised() -> None:
    new = {**resting(), "spec": {**resting()["spec"], "template": template("v1")}}
    _, verdict = going_on(resting(), new)
    assert verdict.warnings == (
        "Rollout web: this is the version from before the release; it is rolled back to now.",
    )


def test_a_third_version_in_a_blue_green_release_is_explained() -> None:
    blue = rollout(spec={"strategy": {"canary": None, "blueGreen": {"steps": [{"replicas": "100%"}]}}})
    new = {**resting(), "spec": {**resting()["spec"], "template": template("v3")}}
    _, verdict = going_on(resting(), new, by=blue)
    assert "cannot take another version" in verdict.warnings[0]
    assert verdict.warnings[1].endswith("undo rollout/web -n shop --to-revision=1")


def at_the_end(admitted: Obj) -> Obj:
    """The spec as it is given back when the release ends."""
    seen = read(admitted, Deployment)
    status = parse_extra_status(seen.metadata.annotations[keys.DEPLOYMENT_EXTRA_STATUS])
    strategy = parse_partition_strategy(seen.metadata.annotations[keys.DEPLOYMENT_STRATEGY])
    assert status is not None
    end: Obj = merge_patch(
        admitted["spec"], restored_spec(original_of(seen, status.original), strategy, paused=False)
    )
    return end


@pytest.mark.parametrize("old", [moving(), resting()], ids=["moving", "resting"])
def test_settings_written_during_a_release_are_in_effect_at_its_end(old: Obj) -> None:
    wanted = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}
    new = copy.deepcopy(old)
    new["spec"] |= {"strategy": wanted, "minReadySeconds": 30, "progressDeadlineSeconds": 900}
    admitted, verdict = going_on(old, new)
    assert admitted["spec"]["strategy"] == old["spec"]["strategy"]
    end = at_the_end(admitted)
    assert (end["strategy"], end["minReadySeconds"], end["progressDeadlineSeconds"]) == (wanted, 30, 900)
    assert verdict.warnings == (
        "Rollout web: minReadySeconds 30, progressDeadlineSeconds 900, maxSurge 50%, maxUnavailable 0"
        " will be in effect when the release ends.",
    )


def test_settings_written_during_a_release_outlive_a_strategy_that_is_garbled_by_hand() -> None:
    new = moving()
    wanted = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}
    new["spec"] |= {"strategy": wanted}
    admitted, _ = going_on(moving(), new)
    annotations_of(admitted)[keys.DEPLOYMENT_STRATEGY] = '{"not": json'
    assert at_the_end(admitted)["strategy"] == wanted


def test_a_setting_that_happens_to_equal_ours_is_not_missed_if_it_was_applied() -> None:
    new = resting()
    applied = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0}}}}
    new["metadata"]["annotations"] = {**MARKS, keys.LAST_APPLIED: json.dumps(applied)}
    end = at_the_end(going_on(resting(), new)[0])
    assert end["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": "25%"}
    assert end["minReadySeconds"] == 5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "0%", "maxUnavailable": "0%"},
                }
            },
            "must not be 0",
        ),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 0}}},
            "must not be",
        ),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "x", "maxUnavailable": 1}}},
            "maxSurge 'x'",
        ),
        (
            {
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 2, "maxUnavailable": "101%"},
                }
            },
            "100%",
        ),
        ({"minReadySeconds": 600}, "must be greater than minReadySeconds 600"),
        ({"minReadySeconds": -1}, "must not be negative"),
    ],
)
@pytest.mark.parametrize("old", [moving(), resting()], ids=["moving", "resting"])
def test_settings_that_could_not_be_given_back_are_refused(old: Obj, wrong: Obj, words: str) -> None:
    # The API server would not notice: it is shown our settings in their place.
    _, verdict = going_on(old, {**old, "spec": {**old["spec"], **wrong}})
    assert words in verdict.refusal


def test_settings_written_during_a_blue_green_release_are_kept_where_it_keeps_them() -> None:
    saved = '{"maxUnavailable":"25%","maxSurge":"25%","minReadySeconds":5,"progressDeadlineSeconds":600}'
    marks = {keys.IN_PROGRESSING: MARK, keys.ORIGINAL_DEPLOYMENT_STRATEGY: saved}
    old = moving()
    old["metadata"]["annotations"] = marks
    new = copy.deepcopy(old)
    new["spec"] |= {
        "minReadySeconds": 9,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 4, "maxUnavailable": 2}},
    }
    admitted, _ = going_on(old, new)
    assert admitted["spec"] == old["spec"]
    assert annotations_of(admitted) == {
        keys.IN_PROGRESSING: MARK,
        keys.ORIGINAL_DEPLOYMENT_STRATEGY: saved.replace('"maxSurge":"25%"', '"maxSurge":4').replace(
            ":5,", ":9,"
        ),
    }


@pytest.mark.parametrize("member", ["maxSurge", "maxUnavailable"])
def test_who_asks_for_a_rolling_update_no_longer_asks_for_recreate(member: str) -> None:
    recreated, _ = going_on(moving(), moving(strategy={"type": "Recreate"}))
    assert at_the_end(recreated)["strategy"]["type"] == "Recreate"
    again = copy.deepcopy(recreated)
    again["spec"]["strategy"]["rollingUpdate"][member] = 5
    end = at_the_end(going_on(recreated, again)[0])["strategy"]
    assert end["type"] == "RollingUpdate" and end["rollingUpdate"][member] == 5


def test_settings_of_a_workload_that_nothing_has_taken_over_yet_are_just_stored() -> None:
    held = deployment("v2", annotations={keys.IN_PROGRESSING: MARK}, paused=True)
    new = deployment("v2", annotations={keys.IN_PROGRESSING: MARK}, paused=True, minReadySeconds=9)
    admitted, verdict = going_on(held, new)
    assert admitted == new and verdict == PASS


# --- properties --------------------------------------------------------------------------------------------------

amounts = st.one_of(st.integers(0, 5), st.sampled_from(["0%", "25%", "100%"]))
rolling = st.fixed_dictionaries({"maxSurge": amounts, "maxUnavailable": amounts})
texts = st.sampled_from(["", "x", STRATEGY, SAVED, MARK])
edits = st.fixed_dictionaries(
    {},
    optional={
        "minReadySeconds": st.integers(0, 60),
        "progressDeadlineSeconds": st.integers(61, 900),
        "strategy": st.one_of(
            st.just({"type": "Recreate"}),
            rolling.map(lambda r: {"type": "RollingUpdate", "rollingUpdate": r}),
        ),
        "paused": st.booleans(),
        "replicas": st.integers(0, 20),
        "template": st.sampled_from(["v1", "v2", "v3"]).map(template),
    },
)
metadata = st.one_of(
    st.just({"labels": LABELS, "annotations": MARKS}),
    st.fixed_dictionaries(
        {
            "labels": st.dictionaries(st.sampled_from([*LABELS, "other"]), texts, max_size=3),
            "annotations": st.dictionaries(
                st.sampled_from([*ANNOTATIONS, "other", keys.LAST_APPLIED]), texts
            ),
        }
    ),
)
releases = st.sampled_from([moving(), resting()])


def edited(old: Obj, edit: Obj, meta: Obj) -> Obj:
    return {
        **old,
        "metadata": {**old["metadata"], **copy.deepcopy(meta)},
        "spec": {**old["spec"], **copy.deepcopy(edit)},
    }


@settings(max_examples=200, deadline=None)
@given(old=releases, edit=edits, meta=metadata)
def test_whatever_a_person_writes_the_release_keeps_what_bounds_it(old: Obj, edit: Obj, meta: Obj) -> None:
    admitted, verdict = going_on(old, edited(old, edit, meta))
    if verdict.refusal:
        return
    spec, was = admitted["spec"], old["spec"]
    assert spec["strategy"] == was["strategy"]
    if not was.get("paused"):
        for field in ("minReadySeconds", "progressDeadlineSeconds"):
            assert spec[field] == was[field]
    changed = "template" in edit and edit["template"] != template("v2")
    assert spec.get("paused", False) is (was.get("paused", False) or changed)
    for key in (keys.IN_PROGRESSING, keys.CONTROL_INFO):
        assert annotations_of(admitted)[key] == MARKS[key]
    strategy = parse_partition_strategy(annotations_of(admitted)[keys.DEPLOYMENT_STRATEGY])
    assert strategy is not None and strategy.partition == "20%"
    assert {k: admitted["metadata"]["labels"].get(k) for k in LABELS} == LABELS
    assert spec["replicas"] == edit.get("replicas", 10)
    assert spec["template"] == edit.get("template", template("v2"))


@settings(max_examples=200, deadline=None)
@given(old=releases, first=edits, second=edits)
def test_at_the_end_every_setting_is_what_the_person_wrote_last(old: Obj, first: Obj, second: Obj) -> None:
    wanted = {
        "minReadySeconds": 5,
        "progressDeadlineSeconds": 600,
        "strategy": deployment()["spec"]["strategy"],
    }
    live = old
    for edit in (first, second):
        # What equals the present setting is no change that anybody could see.
        seen = {k: v for k, v in edit.items() if k in wanted and live["spec"].get(k) != v}
        differing = seen.get("strategy", {}).get("rollingUpdate") or {}
        if any(live["spec"]["strategy"]["rollingUpdate"].get(k) == v for k, v in differing.items()):
            return
        wanted |= seen
        live, verdict = going_on(live, {**live, "spec": {**live["spec"], **seen}})
        if verdict.refusal:
            return
    end = at_the_end(live)
    end["strategy"] = {k: v for k, v in end["strategy"].items() if v is not None}
    assert {k: end[k] for k in wanted} == wanted


@settings(max_examples=150, deadline=None)
@given(
    old=st.one_of(releases, st.just(deployment("v1"))),
    edit=edits,
    meta=metadata,
    routed=st.booleans(),
)
def test_admitting_twice_is_admitting_once(old: Obj, edit: Obj, meta: Obj, routed: bool) -> None:
    # What is recorded of a person's settings is taken from the object only once.
    edit = {k: v for k, v in edit.items() if k in ("paused", "replicas", "template")}
    meta["annotations"].pop(keys.LAST_APPLIED, None)
    once, first = going_on(old, edited(old, edit, meta), by=rollout(routed=routed))
    twice, second = going_on(old, once, by=rollout(routed=routed))
    assert twice == once
    assert first.refusal == second.refusal
