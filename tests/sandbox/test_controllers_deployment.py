"""The Deployment and ReplicaSet controllers as pure functions: bounds under every order of events, and arithmetic."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from controller_stage import a_deployment, bounds
from controller_toy import DEPLOYMENTS, REPLICA_SETS, Toy, is_ready
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import DEPLOYMENT, POD, REPLICA_SET
from kruise_rollouts.kube.patch import merge_patch
from kruise_rollouts.sandbox.controllers import facts
from kruise_rollouts.sandbox.controllers.deployment_scale import proportional
from kruise_rollouts.sandbox.controllers.deployment_view import Dep, Rs, dep_from, fenceposts
from kruise_rollouts.sandbox.controllers.templates import ALPHABET, same_template, template_hash


def settle(toy: Toy, rng: Random | None = None, bad: str = "") -> None:
    """Everything happens that can, in some order, until nothing changes; pods of image `bad` never get ready."""
    rng = rng or Random(0)
    for _ in range(60):
        before = {
            facts.uid(o): facts.version(o) for k in (DEPLOYMENT, REPLICA_SET, POD) for o in toy.world.list(k)
        }
        for step in rng.sample(steps(toy, bad), k=len(steps(toy, bad))):
            step()
        after = {
            facts.uid(o): facts.version(o) for k in (DEPLOYMENT, REPLICA_SET, POD) for o in toy.world.list(k)
        }
        if after == before:
            return
    raise AssertionError("it never comes to rest")


def steps(toy: Toy, bad: str = "") -> list[Any]:
    """What may happen next."""
    out: list[Any] = [partial(toy.run, DEPLOYMENTS, "web")]
    for rs in toy.world.list(REPLICA_SET):
        out.append(partial(toy.run, REPLICA_SETS, facts.name(rs)))
    for pod in toy.world.list(POD):
        name = facts.name(pod)
        if facts.is_deleting(pod):
            out.append(partial(_if_there, toy, name, toy.gone))
        elif not is_ready(pod) and pod["spec"]["containers"][0]["image"] != bad:
            out.append(partial(_if_there, toy, name, toy.make_ready))
    return out


def _if_there(toy: Toy, name: str, act: Any) -> None:
    pod = toy.world.get(POD, "default", name)
    if pod is not None and (act == toy.gone) == facts.is_deleting(pod):
        act(pod)


def deployed(replicas: int, surge: int | str, unavailable: int | str) -> Toy:
    toy = Toy()
    toy.put(
        DEPLOYMENT, {**a_deployment(replicas=replicas, strategy=bounds(surge, unavailable)), "status": {}}
    )
    settle(toy)
    return toy


def change(toy: Toy, **spec: Any) -> None:
    toy.put(DEPLOYMENT, merge_patch(toy.deployment(), {"spec": spec}))


def template(image: str) -> JsonObject:
    return {"spec": {"containers": [{"name": "main", "image": image}]}}


bound = st.integers(0, 4) | st.sampled_from(["10%", "25%", "50%", "100%"])


@pytest.mark.slow
@given(st.integers(1, 9), bound, bound, st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_a_rollout_never_leaves_its_bounds_in_whatever_order_things_happen(
    replicas: int, surge: int | str, unavailable: int | str, rng: Random
) -> None:
    toy = deployed(replicas, surge, unavailable)
    most, least = fenceposts(surge, unavailable, replicas)
    change(toy, template=template("app:v2"))
    for _ in range(250):
        possible = steps(toy)
        rng.choice(possible)()
        assert len(toy.pods()) <= replicas + most
        assert toy.ready() >= replicas - least
    settle(toy, rng)
    assert [p["spec"]["containers"][0]["image"] for p in toy.pods()] == ["app:v2"] * replicas


@pytest.mark.slow
@given(st.integers(1, 9), bound, bound, st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_an_image_that_never_starts_takes_no_more_pods_than_allowed(
    replicas: int, surge: int | str, unavailable: int | str, rng: Random
) -> None:
    toy = deployed(replicas, surge, unavailable)
    most, least = fenceposts(surge, unavailable, replicas)
    change(toy, template=template("app:bad"))
    settle(toy, rng, bad="app:bad")
    assert toy.ready() == max(replicas - least, 0)
    assert len(toy.pods()) == min(replicas + most, toy.ready() + replicas)
    change(toy, template=template("app:v1"))
    settle(toy, rng)
    assert [p["spec"]["containers"][0]["image"] for p in toy.pods()] == ["app:v1"] * replicas


sizes = st.lists(st.integers(1, 40), min_size=2, max_size=4)


@given(sizes, st.integers(1, 120), st.integers(0, 20))
def test_proportional_sizes_add_up_to_what_is_allowed(before: list[int], replicas: int, surge: int) -> None:
    dep, sets = sized(before, replicas, surge)
    for _ in range(
        len(before)
    ):  # the largest cannot give more than it has: the rest follows in the next decision
        after = {rs.name: size for rs, size in proportional(dep, None, sets, sum(before))}
        _, sets = sized([after.get(rs.name, rs.size) for rs in sets], replicas, surge)
    assert sum(rs.size for rs in sets) == replicas + surge or len([rs for rs in sets if rs.size]) == 1
    assert min(rs.size for rs in sets) >= 0


@given(sizes, st.integers(1, 120))
def test_proportional_sizes_keep_their_order(before: list[int], replicas: int) -> None:
    dep, sets = sized(before, replicas, 0)
    after = {rs.name: size for rs, size in proportional(dep, None, sets, sum(before))}
    grown = sorted((rs.size, after.get(rs.name, rs.size)) for rs in sets)
    if replicas >= sum(before):
        assert all(small[1] <= large[1] + len(before) for small, large in pairwise(grown))


def sized(before: list[int], replicas: int, surge: int) -> tuple[Dep, list[Rs]]:
    dep = dep_from(a_deployment(replicas=replicas, strategy=bounds(surge, 0 if surge else 1)))
    annotations = {
        "deployment.kubernetes.io/max-replicas": str(sum(before)),
        "deployment.kubernetes.io/desired-replicas": str(sum(before)),
    }
    return dep, [
        Rs(
            {"metadata": {"name": f"rs-{i}", "uid": f"u{i}", "annotations": annotations}},
            size,
            size,
            size,
            size,
        )
        for i, size in enumerate(before)
    ]


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "pods"),
    [
        ("25%", "25%", 10, (3, 2)),
        ("1%", "1%", 10, (1, 0)),
        (0, "10%", 5, (0, 1)),
        (0, 0, 5, (0, 1)),
        ("100%", 0, 3, (3, 0)),
        (None, None, 3, (0, 1)),
    ],
)
def test_surge_rounds_up_unavailable_down_and_both_zero_is_one_down(
    surge: Any, unavailable: Any, replicas: int, pods: tuple[int, int]
) -> None:
    assert fenceposts(surge, unavailable, replicas) == pods


def test_a_template_is_the_same_whatever_hash_it_carries() -> None:
    plain = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "env": []}]}}
    hashed = {
        "metadata": {"labels": {"a": "b", "pod-template-hash": "x"}, "creationTimestamp": None},
        "spec": {"containers": [{"name": "x"}]},
    }
    assert same_template(plain, hashed)
    assert template_hash(plain, 0) == template_hash(hashed, 0)
    assert template_hash(plain, 1) != template_hash(plain, 0)
    assert set(template_hash(plain, 0)) <= set(ALPHABET)


def test_a_name_that_is_taken_moves_the_collision_count_on() -> None:
    toy = deployed(1, 1, 0)
    change(toy, template=template("app:v2"))
    wanted = f"web-{template_hash(facts.spec(toy.deployment())['template'], 0)}"
    stranger = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "someone", "controller": True}
    toy.put(
        REPLICA_SET,
        {
            "metadata": {"name": wanted, "ownerReferences": [stranger]},
            "spec": {"replicas": 0, "template": {}},
        },
    )
    settle(toy)
    assert facts.status(toy.deployment())["collisionCount"] == 1
    assert [p["spec"]["containers"][0]["image"] for p in toy.pods()] == ["app:v2"]


def test_scaling_is_told_in_events() -> None:
    toy = deployed(2, 1, 0)
    change(toy, replicas=3)
    settle(toy)
    (rs,) = toy.world.list(REPLICA_SET)
    told = [n.message for n in toy.notes if n.reason == "ScalingReplicaSet"]
    assert told == [
        f"Scaled up replica set {facts.name(rs)} from 0 to 2",
        f"Scaled up replica set {facts.name(rs)} from 2 to 3",
    ]


def test_progress_that_stands_still_times_out_and_wakes_up_for_it() -> None:
    toy = deployed(2, 1, 0)
    change(toy, progressDeadlineSeconds=60, template=template("app:bad"))
    settle(toy, bad="app:bad")
    toy.later(59)
    toy.run(DEPLOYMENTS, "web")
    assert progressing(toy) == ("True", "ReplicaSetUpdated")
    toy.later(3)
    toy.run(DEPLOYMENTS, "web")
    assert progressing(toy) == ("False", "ProgressDeadlineExceeded")


def test_no_deadline_means_no_progressing_condition() -> None:
    toy = deployed(2, 1, 0)
    change(toy, progressDeadlineSeconds=2147483647)
    settle(toy)
    assert [c["type"] for c in facts.status(toy.deployment())["conditions"]] == ["Available"]


def progressing(toy: Toy) -> tuple[str, str]:
    (found,) = (c for c in facts.status(toy.deployment())["conditions"] if c["type"] == "Progressing")
    return found["status"], found["reason"]
