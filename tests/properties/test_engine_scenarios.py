"""Stories of one Deployment on the model of Kubernetes, told in (replicas, availableReplicas, updatedReplicas)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from engine_driver import run_engine
from native_model import Native, SimPod, native, template

from kruise_rollouts.api.annotations import parse_extra_status
from kruise_rollouts.api.apps import ReplicaSet
from kruise_rollouts.api.keys import (
    DEPLOYMENT_EXTRA_STATUS,
    DEPLOYMENT_STRATEGY,
    MAX_READY_SECONDS,
    STABLE_REVISION,
)
from kruise_rollouts.core.deployment_engine import decide
from kruise_rollouts.core.deployment_view import DeploymentSnapshot, stored_status
from kruise_rollouts.core.revision import hash_label
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.effects import Note, Write
from kruise_rollouts.kube.objects import OwnerReference

OWNER = OwnerReference("rollouts.kruise.io/v1beta1", "BatchRelease", "web", "u-1", True, True)
Numbers = tuple[int, int, int]


def update(world: Native, version: int, **annotation: Any) -> None:
    """A new template, paused in the same write, as admission does it."""
    body: dict[str, Any] = {"spec": {"template": template(version), "paused": True}}
    if annotation:
        body["metadata"] = {"annotations": {DEPLOYMENT_STRATEGY: msgspec.json.encode(annotation).decode()}}
    world.change(world.deployment, body)


def annotate(world: Native, partition: int | str, **more: Any) -> None:
    value = {"rollingStyle": "Partition", **more, "partition": partition}
    text = msgspec.json.encode(value).decode()
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: text}}})


def adapter(world: Native) -> PartitionedDeployment:
    return PartitionedDeployment(world.seen_deployment(), world.seen_replica_sets())


def act(world: Native, writes: tuple[Write, ...]) -> int:
    for write in writes:
        world.apply(write)
    return len(writes)


def rest(world: Native, broken: str = "") -> Numbers:
    """Everybody does what is to be done; pods become ready one by one, except those of the `broken` image."""
    for _ in range(100):
        before = world.version
        run_engine(world)
        world.sync()
        world.sync_replica_sets()
        waiting = [p for p in world.pods.values() if p.ready_since is None and _image(world, p) != broken]
        for pod in waiting[:1]:
            pod.ready_since = world.now
        world.now += 1
        world.sync_replica_sets()
        world.sync()
        run_engine(world)
        if before == world.version:
            status = world.deployment["status"]
            return status["replicas"], status["availableReplicas"], status["updatedReplicas"]
    raise AssertionError("it does not come to rest")


def _image(world: Native, pod: SimPod) -> str:
    return str(world.replica_sets[pod.owner]["spec"]["template"]["spec"]["containers"][0]["image"])


def sizes(world: Native) -> dict[str, int]:
    return {_image_of(r): r["spec"]["replicas"] for r in world.replica_sets.values()}


def _image_of(replica_set: dict[str, Any]) -> str:
    return str(replica_set["spec"]["template"]["spec"]["containers"][0]["image"])


def test_each_partition_moves_as_many_pods_as_it_says() -> None:
    world = native(5, "25%", "25%")
    update(world, 2)
    for pods in (0, 1, 2, 3, 5):
        annotate(world, pods)
        assert rest(world) == (5, 5, pods)


def test_a_held_deployment_grows_in_proportion() -> None:
    world = native(5, "25%", "25%")
    update(world, 2)
    annotate(world, 2)
    assert rest(world) == (5, 5, 2)
    world.change(world.deployment, {"spec": {"replicas": 10}})
    assert rest(world) == (10, 10, 4)
    annotate(world, 7)
    assert rest(world) == (10, 10, 7)


def test_pods_that_never_start_cost_one_surge_pod_and_no_old_one() -> None:
    world = native(5, 1, 0)
    update(world, 2)
    annotate(world, 3)
    assert rest(world, broken="web:2") == (6, 5, 1)


def test_a_template_that_comes_past_admission_while_pods_start_does_not_move() -> None:
    world = native(5, 1, 0)
    update(world, 2)
    annotate(world, 3)
    rest(world, broken="web:2")
    world.change(world.deployment, {"spec": {"template": template(3)}})
    world.sync()
    assert sizes(world) == {"web:1": 5, "web:2": 1}


def test_a_good_revision_replaces_the_pod_that_never_started_first() -> None:
    world = native(5, 1, 0)
    update(world, 2)
    annotate(world, 3)
    rest(world, broken="web:2")
    update(world, 3)
    assert rest(world, broken="web:2") == (5, 5, 3)
    assert sizes(world) == {"web:1": 2, "web:2": 0, "web:3": 3}


def test_standing_still_gives_up_the_pod_that_never_started() -> None:
    world = native(5, 1, 0)
    update(world, 2)
    annotate(world, 1)
    assert rest(world, broken="web:2") == (6, 5, 1)
    update(world, 3, rollingStyle="Partition", paused=True, partition=1)
    assert rest(world, broken="web:2") == (5, 5, 0)
    assert sizes(world) == {"web:1": 5, "web:2": 0}


def test_standing_still_after_going_back_half_way_makes_no_pods_for_those_that_never_started() -> None:
    world = native(5, 1, 0)
    update(world, 2)
    annotate(world, 2)
    assert rest(world) == (5, 5, 2)
    update(world, 3)
    annotate(world, 1)
    rest(world, broken="web:3")
    update(world, 2, rollingStyle="Partition", paused=True, partition=1)
    assert rest(world, broken="web:3") == (6, 5, 2)
    annotate(world, 2)
    assert rest(world, broken="web:3") == (5, 5, 2)
    assert sizes(world) == {"web:1": 3, "web:2": 2, "web:3": 0}


def _a_first_move(replicas: int) -> Native:
    """Let loose by the engine; the Deployment controller has yet to make the first pod."""
    world = native(replicas, 1, 0)
    update(world, 2)
    annotate(world, 1)
    world.sync()
    run_engine(world)
    return world


def _decide_on_old_news(world: Native, replica_sets: tuple[ReplicaSet, ...]) -> None:
    """One decision of an engine whose watch of ReplicaSets is behind that of the Deployment."""
    seen = world.seen_deployment()
    act(world, decide(DeploymentSnapshot(world.clock, seen, replica_sets, stored_status(seen))).writes)


def test_a_version_that_comes_in_the_moment_its_predecessor_gets_its_first_pod_costs_none_that_serves() -> (
    None
):
    world = _a_first_move(5)
    not_yet_known = world.seen_replica_sets()
    world.sync()
    update(world, 3, rollingStyle="Partition", paused=True, partition=1)
    _decide_on_old_news(world, not_yet_known)
    world.sync()
    assert sizes(world) == {"web:1": 5, "web:2": 1}


def test_a_version_that_comes_while_a_pod_just_made_is_not_heard_of_costs_none_that_serves() -> None:
    world = _a_first_move(9)
    not_yet_heard_of = world.seen_replica_sets()
    world.sync()
    world.sync_replica_sets()
    update(world, 3, rollingStyle="Partition", paused=True, partition=1)
    world.sync()
    _decide_on_old_news(world, not_yet_heard_of)
    world.sync()
    assert sizes(world) == {"web:1": 9, "web:2": 1}


def test_pods_that_kubernetes_took_away_are_not_made_again_by_an_engine_that_has_yet_to_hear_of_it() -> None:
    world = native(11, 1, 0)
    of_version_1 = world.seen_replica_sets()[0]
    update(world, 2)
    annotate(world, 2)
    rest(world)
    update(world, 3, rollingStyle="Partition", paused=True, partition=2)
    assert rest(world) == (11, 11, 0)
    annotate(world, 2)
    world.sync()
    _decide_on_old_news(world, (of_version_1, *world.seen_replica_sets()[1:]))
    world.sync()
    assert sizes(world) == {"web:1": 9, "web:2": 2}


def test_an_engine_that_has_yet_to_hear_of_the_new_pods_makes_no_more_of_them() -> None:
    world = native(8, 2, "50%")
    before = world.seen_replica_sets()
    update(world, 2)
    annotate(world, 7)
    rest(world)
    annotate(world, "80%")
    world.sync()
    _decide_on_old_news(world, before)
    world.sync()
    assert sizes(world) == {"web:1": 1, "web:2": 7}


def test_a_smaller_surge_asked_for_in_mid_surge_costs_no_pod_that_serves_when_a_version_comes() -> None:
    world = native(8, "25%", "25%")
    update(world, 2)
    annotate(world, 8)
    rest(world, broken="web:2")
    assert sizes(world) == {"web:1": 6, "web:2": 4}
    annotate(world, 8, rollingUpdate={"maxSurge": 1, "maxUnavailable": "25%"})
    world.sync()
    run_engine(world)
    update(world, 3, rollingStyle="Partition", paused=True, partition=8)
    world.sync()
    assert sizes(world) == {"web:1": 6, "web:2": 4}


def test_a_new_pod_that_is_on_its_way_out_lets_no_old_one_go() -> None:
    world = native(5, 1, 0)
    update(world, 2)
    annotate(world, 2)
    rest(world)
    world.change(world.deployment, {"spec": {"replicas": 1}})
    world.sync()
    annotate(world, 1)
    new = world.new()
    assert new is not None
    with_the_pods = new["status"]
    world.sync_replica_sets()
    new["status"] = with_the_pods
    world.sync()
    run_engine(world)
    world.sync()
    assert sizes(world) == {"web:1": 1, "web:2": 1}


def test_pods_that_serve_outlive_those_too_many_that_never_started_though_they_are_to_go_first() -> None:
    world = native(6, "100%", 0)
    update(world, 2)
    annotate(world, 6)
    world.sync()
    run_engine(world)
    world.sync()
    world.sync_replica_sets()
    world.sync()
    serving = [world.pods_of(name)[:pods] for name, pods in zip(world.replica_sets, (2, 4), strict=True)]
    for pod in world.pods.values():
        pod.ready_since = world.now if any(pod in some for some in serving) else None
    world.sync_replica_sets()
    world.sync()
    stable = {STABLE_REVISION: hash_label(world.seen_replica_sets()[1])}
    world.change(world.deployment, {"metadata": {"labels": stable}})
    update(world, 3, rollingStyle="Partition", partition=4)
    for _ in range(60):
        run_engine(world)
        world.sync()
        world.sync_replica_sets()
        assert sum(p.ready_since is not None for p in world.pods.values()) >= 6


def test_a_version_that_comes_past_admission_in_the_middle_of_a_move_waits_for_its_own_release() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    act(world, adapter(world).claim(OWNER, "50%"))
    rest(world)
    act(world, adapter(world).advance("80%"))
    for _ in range(3):
        world.sync()
        world.sync_replica_sets()
        run_engine(world)
    world.change(world.deployment, {"spec": {"template": template(3), "paused": False}})
    stable = sizes(world)["web:1"]
    rest(world)
    assert sizes(world) == {"web:1": stable, "web:2": 10 - stable}
    act(world, adapter(world).advance("20%"))
    rest(world)
    assert sizes(world)["web:3"] == 2


def test_whoever_writes_the_annotation_alone_has_its_partition_apply_to_every_version() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    annotate(world, "20%")
    rest(world)
    world.change(world.deployment, {"spec": {"template": template(3)}})
    rest(world)
    assert sizes(world) == {"web:1": 8, "web:2": 0, "web:3": 2}


def test_pods_of_the_superseded_revision_go_before_stable_ones() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    annotate(world, 5)
    rest(world)
    update(world, 3)
    annotate(world, 1)
    rest(world)
    assert sizes(world) == {"web:1": 5, "web:2": 4, "web:3": 1}
    annotate(world, 5)
    assert rest(world) == (10, 10, 5)
    assert sizes(world) == {"web:1": 5, "web:2": 0, "web:3": 5}


def test_going_back_to_an_old_revision_uses_its_replica_set_again() -> None:
    world = native(5, "25%", "25%")
    for version, pods in ((2, 2), (3, 3), (2, 2)):
        update(world, version)
        annotate(world, pods)
        assert rest(world) == (5, 5, pods)
    assert len(world.replica_sets) == 3
    annotate(world, 5)
    assert rest(world) == (5, 5, 5)


@pytest.mark.parametrize("partition", [0, "0%", "abc", -3])
def test_nothing_moves_without_a_partition(partition: int | str) -> None:
    world = native(5, "25%", "25%")
    update(world, 2)
    annotate(world, partition)
    assert rest(world) == (5, 5, 0)


def test_a_lower_partition_takes_no_pod_back() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    annotate(world, "50%")
    rest(world)
    annotate(world, "20%")
    assert rest(world) == (10, 10, 5)


def test_the_last_pod_waits_for_100_percent() -> None:
    world = native(3, "25%", "25%")
    update(world, 2)
    annotate(world, "99%")
    assert rest(world) == (3, 3, 2)
    annotate(world, "100%")
    assert rest(world) == (3, 3, 3)


def test_no_pods_are_wanted_and_then_some_are() -> None:
    world = native(5, "25%", "25%")
    update(world, 2)
    annotate(world, "20%")
    rest(world)
    world.change(world.deployment, {"spec": {"replicas": 0}})
    assert rest(world) == (0, 0, 0)
    world.change(world.deployment, {"spec": {"replicas": 5}})
    total, available, _ = rest(world)
    assert (total, available) == (5, 5)


def test_a_deployment_held_by_openkruise_rollouts_is_taken_over() -> None:
    world = native(5, "25%", "25%")
    recreate = {"strategy": {"type": "Recreate", "rollingUpdate": None}, "paused": True}
    world.change(world.deployment, {"spec": {**recreate, "template": template(2)}})
    own = {"maxSurge": 1, "maxUnavailable": 0}
    annotate(world, 2, rollingUpdate=own)
    assert rest(world) == (5, 5, 2)
    act(world, adapter(world).release(Ending.RESUMED))
    assert world.spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": own}


def test_a_held_deployment_without_a_replica_set_gets_its_first_pods() -> None:
    world = native(0, "25%", "25%")
    world.replica_sets.clear()
    world.change(world.deployment, {"spec": {"replicas": 5, "paused": True}})
    world.sync()
    annotate(world, 0)
    assert rest(world) == (5, 5, 5)
    assert world.spec["paused"]


def test_a_recreate_deployment_is_replaced_pod_by_pod_and_stays_recreate() -> None:
    world = native(5, 0, 1, kind="Recreate")
    update(world, 2)
    act(world, adapter(world).claim(OWNER, 0))
    assert rest(world) == (5, 5, 0)
    act(world, adapter(world).advance("40%"))
    assert rest(world) == (5, 5, 2)
    act(world, adapter(world).advance("100%"))
    assert rest(world) == (5, 5, 5)
    act(world, adapter(world).release(Ending.RESUMED))
    assert world.spec["strategy"] == {"type": "Recreate"}
    assert rest(world) == (5, 5, 5)


def test_a_recreate_deployment_that_only_the_annotation_drives_stays_recreate() -> None:
    world = native(5, 0, 1, kind="Recreate")
    annotate(world, 2)
    assert rest(world) == (5, 5, 5)
    update(world, 2)
    assert rest(world) == (5, 5, 2)
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: None}}})
    rest(world)
    assert world.spec["strategy"] == {"type": "Recreate"}


def test_new_pods_count_when_they_have_been_ready_for_the_persons_own_time() -> None:
    world = native(5, 1, 0, min_ready=30)
    update(world, 2)
    annotate(world, 2)
    world.sync()
    run_engine(world)
    world.sync()
    world.sync_replica_sets()
    for pod in world.pods.values():
        pod.ready_since = world.now if pod.ready_since is None else pod.ready_since
    world.sync_replica_sets()
    run_engine(world)
    world.now += 29
    run_engine(world)
    world.sync()
    assert sizes(world) == {"web:1": 5, "web:2": 1}
    world.now += 1
    run_engine(world)
    world.sync()
    assert sizes(world) == {"web:1": 4, "web:2": 1}


GARBAGE = ("{", '{"partition":1.5}', '{"partition":{}}', "[]", "null")


@pytest.mark.parametrize("text", GARBAGE)
def test_an_annotation_that_cannot_be_read_stops_everything_and_is_told_once(text: str) -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    annotate(world, "20%")
    rest(world)
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: text}}})
    (note,) = run_engine(world)
    assert note.type == "Warning" and DEPLOYMENT_STRATEGY in note.message
    assert run_engine(world) == []
    assert rest(world) == (10, 10, 2)
    status = parse_extra_status(world.deployment["metadata"]["annotations"][DEPLOYMENT_EXTRA_STATUS])
    assert status is not None and status.message == note.message
    annotate(world, "50%")
    assert rest(world) == (10, 10, 5)


def test_garbage_in_what_the_engine_keeps_does_not_stay_when_nothing_is_driven() -> None:
    world = native(5, 1, 1)
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_EXTRA_STATUS: '{"not": json'}}})
    assert rest(world) == (5, 5, 5)
    assert DEPLOYMENT_EXTRA_STATUS not in world.deployment["metadata"]["annotations"]
    assert not world.spec["paused"]


@pytest.mark.parametrize("numbers", [{"maxSurge": "lots"}, {"maxUnavailable": -1, "maxSurge": 1}])
def test_numbers_that_cannot_be_followed_stop_everything(numbers: dict[str, Any]) -> None:
    world = native(5, 1, 1)
    update(world, 2)
    annotate(world, 3, rollingUpdate=numbers)
    notes: list[Note] = run_engine(world)
    assert [n.type for n in notes] == ["Warning"] and rest(world) == (5, 5, 0)


@pytest.mark.parametrize(
    "numbers",
    [
        {"maxSurge": 0, "maxUnavailable": 0},
        {"maxSurge": "0%", "maxUnavailable": "0%"},
        {"maxSurge": 100, "maxUnavailable": 100},
        {"maxSurge": "500%", "maxUnavailable": "500%"},
        {},
    ],
)
def test_absurd_numbers_still_get_there(numbers: dict[str, Any]) -> None:
    world = native(5, 1, 1)
    update(world, 2)
    annotate(world, 3, rollingUpdate=numbers)
    assert rest(world) == (5, 5, 3)
    act(world, adapter(world).release(Ending.RESUMED))


def test_another_rolling_style_is_left_alone() -> None:
    world = native(5, 1, 1)
    update(world, 2)
    world.change(
        world.deployment,
        {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: '{"rollingStyle":"Canary","partition":5}'}}},
    )
    before = world.version
    assert run_engine(world) == [] and world.version == before


def test_taking_the_annotation_away_half_way_moves_nothing_until_it_is_resumed() -> None:
    world = native(10, "20%", "30%")
    update(world, 2)
    annotate(world, 3)
    assert rest(world) == (10, 10, 3)
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: None}}})
    assert rest(world) == (10, 10, 3)
    said = parse_extra_status(world.deployment["metadata"]["annotations"][DEPLOYMENT_EXTRA_STATUS])
    assert said is not None and "3 of 10 pods are new" in said.message and "resume" in said.message
    assert (world.spec["paused"], world.spec["minReadySeconds"]) == (True, 0)
    world.change(world.deployment, {"spec": {"paused": False}})
    assert rest(world) == (10, 10, 10)
    assert world.spec["strategy"]["rollingUpdate"] == {"maxSurge": "20%", "maxUnavailable": "30%"}
    assert world.deployment["metadata"]["annotations"] == {}


def test_taking_the_annotation_away_in_mid_move_stops_it() -> None:
    world = native(5, "20%", "30%", min_ready=7)
    update(world, 2)
    annotate(world, 3)
    world.sync()
    run_engine(world)
    assert world.spec["minReadySeconds"] == MAX_READY_SECONDS
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: None}}})
    run_engine(world)
    assert world.spec["paused"]
    rest(world)
    spec = world.spec
    assert (spec["paused"], spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (True, 7, 600)


def test_taking_the_annotation_away_at_the_end_gives_the_settings_back() -> None:
    world = native(5, "20%", "30%")
    update(world, 2)
    annotate(world, "100%")
    assert rest(world) == (5, 5, 5)
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: None}}})
    assert rest(world) == (5, 5, 5)
    assert world.spec["strategy"]["rollingUpdate"] == {"maxSurge": "20%", "maxUnavailable": "30%"}
    assert world.deployment["metadata"]["annotations"] == {}


def test_a_tool_that_rewrites_the_annotation_in_mid_move_loses_nothing() -> None:
    world = native(5, 1, 0, min_ready=7)
    world.change(world.deployment, {"spec": {"progressDeadlineSeconds": 1200}})
    update(world, 2)
    annotate(world, 3)
    world.sync()
    run_engine(world)
    assert world.spec["minReadySeconds"] == MAX_READY_SECONDS
    annotate(world, 4)
    rest(world)
    act(world, adapter(world).release(Ending.RESUMED))
    assert (world.spec["minReadySeconds"], world.spec["progressDeadlineSeconds"]) == (7, 1200)


def test_what_a_person_changes_at_rest_is_kept() -> None:
    world = native(5, 1, 0, min_ready=7)
    update(world, 2)
    annotate(world, 2)
    rest(world)
    world.change(world.deployment, {"spec": {"minReadySeconds": 3, "progressDeadlineSeconds": 900}})
    annotate(world, 4)
    rest(world)
    act(world, adapter(world).release(Ending.RESUMED))
    assert (world.spec["minReadySeconds"], world.spec["progressDeadlineSeconds"]) == (3, 900)


def test_an_autoscaler_that_shrinks_it_in_mid_move_does_not_have_everything_replaced() -> None:
    world = native(40, "25%", 0)
    update(world, 2)
    annotate(world, "50%")
    rest_until = [run_engine, Native.sync, Native.sync_replica_sets]
    for step in rest_until * 2:
        step(world)
    for pod in world.pods.values():
        pod.ready_since = pod.ready_since or world.now
    world.sync_replica_sets()
    run_engine(world)
    world.change(world.deployment, {"spec": {"replicas": 10}})
    _native_alone(world)
    assert world.new() is not None and sizes(world)["web:2"] <= 6


def _native_alone(world: Native) -> None:
    for _ in range(20):
        world.sync()
        world.sync_replica_sets()


def test_a_deployment_that_its_controller_spreads_for_ever_is_freed() -> None:
    world = native(5, "25%", "25%")
    # Scaled to what its only ReplicaSet had been cut to: the number it notes is never written anew.
    world._resize(world.replica_sets["web-h1"], 4)
    world.change(world.deployment, {"spec": {"replicas": 4}})
    update(world, 2)
    annotate(world, 2)
    assert rest(world) == (4, 4, 2)


def test_a_dead_engine_and_a_person_who_resumes_make_an_ordinary_rolling_update() -> None:
    world = native(10, "25%", "20%")
    update(world, 2)
    annotate(world, "20%")
    rest(world)
    world.change(world.deployment, {"spec": {"paused": False}})
    least = 10
    for _ in range(60):
        world.sync()
        world.sync_replica_sets()
        least = min(least, sum(p.ready_since is not None for p in world.pods.values()))
        for pod in [p for p in world.pods.values() if p.ready_since is None][:1]:
            pod.ready_since = world.now
        world.sync_replica_sets()
    assert sizes(world) == {"web:1": 0, "web:2": 10} and least >= 8


def test_a_release_of_ten_pods_in_three_steps_takes_few_writes() -> None:
    world, count = native(10, "25%", "25%"), 0
    plain = world.apply

    def counted(write: Write) -> None:
        nonlocal count
        count += 1
        plain(write)

    world.apply = counted  # type: ignore[method-assign]
    update(world, 2)
    act(world, adapter(world).claim(OWNER, 0))
    for share, pods in (("20%", 2), ("50%", 5), ("100%", 10)):
        act(world, adapter(world).advance(share))
        assert rest(world) == (10, 10, pods)
    act(world, adapter(world).release(Ending.RESUMED))
    assert count <= 25  # although the pods become ready one by one


Ask = Callable[[PartitionedDeployment], tuple[Write, ...]]


@pytest.mark.parametrize(
    "ask", [lambda w: w.claim(OWNER, 0), lambda w: w.advance("20%"), lambda w: w.release(Ending.RESUMED)]
)
def test_what_is_so_already_is_not_asked_for_again(ask: Ask) -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    act(world, adapter(world).claim(OWNER, 0))
    act(world, ask(adapter(world)))
    assert ask(adapter(world)) == ()


def test_a_batch_that_is_not_further_leaves_the_annotation_alone() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    act(world, adapter(world).claim(OWNER, 0))
    act(world, adapter(world).advance(5))
    assert adapter(world).advance("20%") == () and adapter(world).advance(3) == ()
    assert len(adapter(world).advance("60%")) == 1


def test_an_annotation_that_a_person_spoilt_is_written_anew_by_the_release() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    act(world, adapter(world).claim(OWNER, 0))
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: "{"}}})
    act(world, adapter(world).advance("20%"))
    assert rest(world) == (10, 10, 2)


def test_handing_over_takes_only_the_claim_off() -> None:
    world = native(10, "25%", "25%")
    update(world, 2)
    act(world, adapter(world).claim(OWNER, 0))
    act(world, adapter(world).advance("20%"))
    rest(world)
    act(world, adapter(world).release(Ending.HANDED_OVER))
    state = adapter(world).state
    assert state.claimed_by == "" and state.is_held and world.spec["paused"]
    assert rest(world) == (10, 10, 2)


def test_the_state_tells_of_a_rollback_and_of_the_end() -> None:
    world = native(5, "25%", "25%")
    assert adapter(world).state.is_complete and not adapter(world).state.is_held
    update(world, 2)
    act(world, adapter(world).hold("rollout"))
    act(world, adapter(world).claim(OWNER, 0))
    act(world, adapter(world).advance("20%"))
    rest(world)
    state = adapter(world).state
    assert (state.updated, state.updated_ready, state.is_rollback, state.is_complete) == (1, 1, False, False)
    update(world, 1)
    assert adapter(world).state.is_rollback


@pytest.mark.parametrize("numbers", [{"maxUnavailable": 10**10, "maxSurge": 0}, {"maxSurge": 2**31}], ids=str)
def test_numbers_that_the_api_server_refuses_are_complained_of_and_not_sent(numbers: dict[str, int]) -> None:
    world = native(5, "25%", "25%")
    update(world, 2)
    annotate(world, 3, rollingUpdate=numbers)
    assert rest(world) == (5, 5, 0)
    said = parse_extra_status(world.deployment["metadata"]["annotations"][DEPLOYMENT_EXTRA_STATUS])
    assert said is not None and str(max(numbers.values())) in said.message
    sent = world.spec["strategy"]["rollingUpdate"]
    assert all(isinstance(n, str) or n < 2**31 for n in sent.values())


def test_garbage_kept_for_the_person_is_not_given_back() -> None:
    world = native(5, "25%", "25%")
    original = {
        "maxSurge": "x%",
        "maxUnavailable": "150%",
        "minReadySeconds": -1,
        "progressDeadlineSeconds": -1,
        "type": "Nonsense",
    }
    text = msgspec.json.encode({"original": original}).decode()
    world.change(world.deployment, {"metadata": {"annotations": {DEPLOYMENT_EXTRA_STATUS: text}}})
    assert rest(world) == (5, 5, 5)
    assert world.spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert (world.spec["minReadySeconds"], world.spec["progressDeadlineSeconds"]) == (0, 600)
    assert world.deployment["metadata"]["annotations"] == {}
