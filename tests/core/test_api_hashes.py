"""Hashes that must equal those of OpenKruise Rollouts, or a take-over looks like a new plan."""

from __future__ import annotations

import msgspec

from kruise_rollouts.api.hashes import release_plan_hash, rollout_hash
from kruise_rollouts.api.rollouts_v1beta1 import (
    BlueGreenStrategy,
    CanaryStrategy,
    ReleasePlan,
    TrafficRoutingRef,
)

PLAN = (
    b'{"steps":[{"traffic":"5%","replicas":1,"pause":{}},{"traffic":"20%","replicas":2,"pause":{}},'
    b'{"traffic":"60%","replicas":6,"pause":{}},{"traffic":"100%","replicas":10,"pause":{}}],'
    b'"trafficRoutings":[{"service":"echoserver","ingress":{"name":"echoserver"}}],'
    b'"enableExtraWorkloadForCanary":true}'
)
PLAN_HASH = "75746v7d5z9x59v5c7dff4wd9cv9cc28czf6c2z664w7zbb7vw2bzv76v99z6bd9"


def canary(text: bytes) -> CanaryStrategy:
    return msgspec.json.decode(text, type=CanaryStrategy)


def test_the_hash_of_a_strategy_is_the_published_one() -> None:
    assert rollout_hash(canary(PLAN)) == PLAN_HASH


def test_pauses_and_failure_threshold_are_not_part_of_the_hash() -> None:
    edited = PLAN.replace(b'"pause":{}', b'"pause":{"duration":60}').replace(
        b'"trafficRoutings"', b'"failureThreshold":"20%","trafficRoutings"'
    )
    assert rollout_hash(canary(edited)) == PLAN_HASH


def test_a_step_without_a_pause_hashes_like_one_with_an_empty_pause() -> None:
    assert rollout_hash(canary(PLAN.replace(b',"pause":{}', b""))) == PLAN_HASH


def test_traffic_replicas_and_routing_are_part_of_the_hash() -> None:
    for was, now in ((b'"5%"', b'"6%"'), (b'"replicas":1,', b'"replicas":3,'), (b"echoserver", b"other")):
        assert rollout_hash(canary(PLAN.replace(was, now, 1))) != PLAN_HASH


def test_a_zero_grace_period_hashes_as_go_writes_it_which_is_not_at_all() -> None:
    zero = BlueGreenStrategy(traffic_routings=(TrafficRoutingRef(service="a", grace_period_seconds=0),))
    absent = BlueGreenStrategy(traffic_routings=(TrafficRoutingRef(service="a"),))
    three = BlueGreenStrategy(traffic_routings=(TrafficRoutingRef(service="a", grace_period_seconds=3),))
    assert rollout_hash(zero) == rollout_hash(absent) != rollout_hash(three)


def test_a_rollout_hash_has_64_letters_without_vowels() -> None:
    made = rollout_hash(canary(PLAN.replace(b"echoserver", b"<a&b>")))
    assert len(made) == 64 and set(made) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_the_hash_of_a_release_plan_is_the_published_one() -> None:
    plan = msgspec.json.decode(
        b'{"batches":[{"canaryReplicas":"10%"},{"canaryReplicas":5}],"batchPartition":0,"rolloutID":"r1",'
        b'"rollingStyle":"Partition","enableExtraWorkloadForCanary":false}',
        type=ReleasePlan,
    )
    assert release_plan_hash(plan) == "54606b0beb4260dffaa7987f17a36b2ea5b01af14893aa2c922aff44ae09c91b"
