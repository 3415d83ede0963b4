"""Which pods a ReplicaSet creates and deletes, and what it counts."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from controller_stage import Object, Play, play_in_sandbox
from controller_toy import NOW, REPLICA_SETS, Toy
from hypothesis import given
from hypothesis import strategies as st

from kruise_rollouts.kube.effects import Create, Delete
from kruise_rollouts.kube.objects import POD, REPLICA_SET, SERVICE
from kruise_rollouts.sandbox.controllers import facts
from kruise_rollouts.sandbox.controllers.endpoints import SLICE
from kruise_rollouts.sandbox.controllers.pods import Pod, deletion_order, pod_from
from kruise_rollouts.sandbox.controllers.replicaset import ReplicaSetSeen, decide_replica_set
from kruise_rollouts.sandbox.controllers.templates import fresh_names
from kruise_rollouts.sandbox.controllers.world import Refusal

_serial = itertools.count(1)


def a_pod(
    name: str,
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: float | None = 100,
    age: float = 200,
    **more: Any,
) -> Pod:
    """`ready`: seconds since it has been ready, None: it is not."""
    annotations = {"controller.kubernetes.io/pod-deletion-cost": str(more["cost"])} if "cost" in more else {}
    conditions = []
    if ready is not None:
        since = facts.stamp(NOW - timedelta(seconds=ready))
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
    return pod_from(
        {
            "metadata": {
                "name": name,
                "uid": f"uid-{next(_serial):04}",
                "labels": {"app": "web"},
                "annotations": annotations,
                "creationTimestamp": facts.stamp(NOW - timedelta(seconds=age)),
                "ownerReferences": [{"uid": "rs", "controller": True, "kind": "ReplicaSet", "name": "web"}],
                **more.get("meta", {}),
            },
            "spec": {"nodeName": node} if node else {},
            "status": {
                "phase": phase,
                "conditions": conditions,
                "containerStatuses": [{"restartCount": more.get("restarts", 0)}],
            },
        }
    )


@pytest.mark.parametrize(
    ("goes", "stays"),
    [
        (
            a_pod("unassigned", node="", phase="Pending", ready=None),
            a_pod("assigned", phase="Pending", ready=None),
        ),
        (a_pod("pending", phase="Pending", ready=None), a_pod("unknown", phase="Unknown", ready=None)),
        (a_pod("unknown", phase="Unknown", ready=None), a_pod("running", ready=None)),
        (a_pod("unready", ready=None, cost=10), a_pod("ready", cost=-10)),
        (a_pod("cheap", cost=-1, ready=1000), a_pod("dear", cost=1, ready=1)),
        (a_pod("crowded", node="n2", ready=1000), a_pod("alone", node="n1", ready=1)),
        (a_pod("fresh", ready=1), a_pod("seasoned", ready=1000)),
        (a_pod("restarted", restarts=3), a_pod("steady", restarts=0)),
        (a_pod("young", age=1, ready=None), a_pod("old", age=1000, ready=None)),
    ],
    ids=lambda p: p.name,
)
def test_of_two_pods_the_less_useful_one_goes_first(goes: Pod, stays: Pod) -> None:
    beside = {"n1": 1, "n2": 5}
    assert [p.name for p in deletion_order([stays, goes], beside, NOW)] == [goes.name, stays.name]


def seen(replicas: int, *pods: Pod, refusal: Refusal | None = None, **spec: Any) -> ReplicaSetSeen:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "app:v1"}]},
    }
    rs = {
        "metadata": {"name": "web", "namespace": "default", "uid": "rs", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            **spec,
        },
    }
    return ReplicaSetSeen(REPLICA_SET, rs, {}, pods, {}, refusal, NOW)


def test_missing_pods_are_created_with_names_of_their_own() -> None:
    decision = decide_replica_set(seen(3, a_pod("web-aaaaa")))
    names = [w.ref.name for w in decision.writes if isinstance(w, Create)]
    assert len(set(names)) == 2
    assert all(n.startswith("web-") and len(n) == 9 for n in names)
    assert [n.message for n in decision.notes] == [f"Created pod: {n}" for n in names]


def test_a_thousand_missing_pods_are_created_in_bites() -> None:
    assert len(decide_replica_set(seen(1000)).writes) == 500


def test_finished_and_terminating_pods_do_not_count() -> None:
    leaving = a_pod("leaving", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    decision = decide_replica_set(seen(1, a_pod("done", phase="Succeeded", ready=None), leaving))
    assert [type(w) for w in decision.writes] == [Create]
    assert decision.status == {"replicas": 0, "observedGeneration": 1, "terminatingReplicas": 1}


def test_a_ready_pod_is_available_after_min_ready_seconds_and_the_wait_is_planned() -> None:
    decision = decide_replica_set(seen(2, a_pod("a", ready=10), a_pod("b", ready=40), minReadySeconds=30))
    assert decision.status["readyReplicas"] == 2
    assert decision.status["availableReplicas"] == 1
    assert decision.wake_at == NOW + timedelta(seconds=20)


def test_a_refusal_is_reported_and_respected() -> None:
    refusal = Refusal(
        "Forbidden", 'pods "web-x" is forbidden: exceeded quota', True, NOW + timedelta(seconds=5)
    )
    decision = decide_replica_set(seen(2, refusal=refusal))
    assert decision.writes == ()
    assert decision.wake_at == refusal.retry_at
    (condition,) = decision.status["conditions"]
    assert (condition["type"], condition["reason"], condition["message"]) == (
        "ReplicaFailure",
        "FailedCreate",
        refusal.message,
    )


def test_surplus_pods_are_deleted_and_told_of() -> None:
    decision = decide_replica_set(seen(1, a_pod("keep", ready=1000), a_pod("drop", ready=None)))
    (write,) = decision.writes
    assert isinstance(write, Delete) and write.ref.name == "drop"
    assert [n.message for n in decision.notes] == ["Deleted pod: drop"]


def test_a_pod_with_more_labels_than_the_template_counts_as_fully_labelled() -> None:
    pods = (a_pod("a", meta={"labels": {"app": "web", "extra": "x"}}),)
    template = {"metadata": {"labels": {"app": "web", "tier": "x"}}, "spec": {}}
    assert decide_replica_set(seen(1, *pods)).status["fullyLabeledReplicas"] == 1
    assert "fullyLabeledReplicas" not in decide_replica_set(seen(1, *pods, template=template)).status


@given(st.integers(0, 400), st.text("abc", min_size=1, max_size=80))
def test_fresh_names_are_distinct_short_and_the_same_each_time(count: int, prefix: str) -> None:
    names = fresh_names(prefix, "seed", count, ())
    assert len(set(names)) == count
    assert names == fresh_names(prefix, "seed", count, ())
    assert all(len(n) <= 63 for n in names)
    assert not set(fresh_names(prefix, "seed", count, set(names))) & set(names)


def test_a_dying_replica_set_creates_and_adopts_nothing() -> None:
    toy = Toy()
    orphan: Object = {
        "metadata": {"name": "orphan", "labels": {"app": "web"}},
        "spec": {},
        "status": {"phase": "Running"},
    }
    toy.put(POD, orphan)
    replica_set = seen(2).replica_set
    leaving = {**replica_set["metadata"], "deletionTimestamp": facts.stamp(NOW)}
    toy.put(REPLICA_SET, {**replica_set, "metadata": leaving, "status": {}})
    toy.run(REPLICA_SETS, "web", rounds=3)
    assert [facts.name(p) for p in toy.pods()] == ["orphan"]
    assert not facts.owners(toy.pods()[0])


async def slices_of_web(play: Play) -> dict[str, Any]:
    """By name; the API server's own is not among them."""
    return {
        s["metadata"]["name"]: s
        for s in await play.place.list(SLICE)
        if s["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    }


def test_many_endpoints_are_spread_over_slices_that_change_little() -> None:
    async def tell(play: Play) -> None:
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        await play.place.create(SERVICE, {"metadata": {"name": "web"}, "spec": spec})
        await play.deploy(replicas=120)
        await play.rests({"v1": 120}, (120, 120, 120))
        before = await slices_of_web(play)
        assert sorted(len(s["endpoints"]) for s in before.values()) == [20, 100]
        victim = before[min(before)]["endpoints"][0]["targetRef"]["name"]
        await play.place.delete(POD, victim, grace=0)
        await play.place.wait(10)
        after = await slices_of_web(play)
        assert sum(len(s["endpoints"]) for s in after.values()) == 120
        same = [n for n in before if before[n]["endpoints"] == after[n]["endpoints"]]
        assert len(same) >= 1

    play_in_sandbox(tell)


def test_the_same_seed_gives_the_same_world() -> None:
    async def look(play: Play) -> None:
        await play.deploy(replicas=5)
        await play.image("v2")
        await play.rests({"v2": 5}, (5, 5, 5))
        worlds.append([await play.place.list(k) for k in (POD, REPLICA_SET)])

    worlds: list[Any] = []
    play_in_sandbox(look)
    play_in_sandbox(look)
    assert worlds[0] == worlds[1]
