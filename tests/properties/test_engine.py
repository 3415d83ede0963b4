"""The engine against a model of Kubernetes that is free to be slow, unready, scaled and meddled with.

After any beginning, and with the engine killed after any write, it never goes further than it may, never costs more
pods than the person allows, and always has a way to the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from engine_driver import Killed, look, run_engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_model import Native, native, template

from kruise_rollouts.api.keys import DEPLOYMENT_STRATEGY, MAX_READY_SECONDS
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.errors import Conflict

Action = tuple[Any, ...]
Number = int | str

sizes = st.integers(1, 12)
partitions = st.one_of(st.integers(0, 12), st.integers(0, 100).map(lambda p: f"{p}%"))
numbers = st.one_of(st.integers(0, 4), st.integers(0, 60).map(lambda p: f"{p}%"))
controllers = st.sampled_from([("engine", None), ("native",), ("sets",), ("native",), ("sets",)])
actions = st.one_of(
    controllers,
    controllers,
    st.tuples(st.just("go on"), st.integers(1, 6)),
    st.tuples(st.just("go on"), st.integers(1, 6)),
    st.tuples(st.just("ready"), st.integers(0, 30)),
    st.tuples(st.just("ready"), st.integers(0, 30)),
    st.tuples(st.just("unready"), st.integers(0, 30)),
    st.tuples(st.just("engine"), st.integers(0, 2)),
    st.tuples(st.just("late engine"), st.integers(1, 3)),
    st.tuples(st.just("tick"), st.integers(1, 8)),
    st.tuples(st.just("partition"), partitions),
    st.tuples(st.just("partition"), partitions),
    st.tuples(st.just("template"), st.integers(1, 4)),
    st.tuples(st.just("scale"), st.integers(0, 12)),
    st.tuples(st.just("resume")),
    st.tuples(st.just("stand still"), st.booleans()),
)


@dataclass
class Story:
    """A world, what may happen in it, and what must not."""

    world: Native
    surge: Number
    unavailable: Number
    min_ready: int
    paused: bool = False
    partition: Number = 0
    licence: int = 0  # pods of the new revision that the engine's last decision may lead to
    spare: int = 0  # pods more than wanted that it may lead to
    lost: int = 0  # pods that stopped being ready since then
    scaled: bool = False  # replicas changed since then
    resumed: bool = False  # a person took over since then
    views: list[Any] = field(default_factory=list)

    def write(self) -> None:
        strategy = {
            "rollingStyle": "Partition",
            "rollingUpdate": {"maxSurge": self.surge, "maxUnavailable": self.unavailable},
            "paused": self.paused,
            "partition": self.partition,
        }
        text = msgspec.json.encode(strategy).decode()
        self.world.change(self.world.deployment, {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: text}}})

    # --- what happens ----------------------------------------------------------------------------------------------

    def take(self, action: Action) -> None:
        name, *rest = action
        self.views.append(look(self.world))
        del self.views[:-4]
        match name:
            case "go on":
                for _ in range(rest[0]):
                    self.round()
            case "engine":
                self.engine(rest[0])
            case "late engine":
                self.engine(None, late=rest[0])
            case "native":
                self.native()
            case "sets":
                self.world.sync_replica_sets()
            case "ready" | "unready":
                self.readiness(rest[0], name == "ready")
            case "tick":
                self.world.now += rest[0]
                self.world.sync_replica_sets()
            case "partition":
                self.partition = rest[0]
                self.write()
            case "template":
                # Admission pauses a Deployment in the write that brings a template.
                body = {"spec": {"template": template(rest[0]), "paused": True}}
                self.world.change(self.world.deployment, body)
            case "scale":
                self.scaled = self.scaled or rest[0] != self.world.wanted
                self.world.change(self.world.deployment, {"spec": {"replicas": rest[0]}})
            case "resume":
                self.resumed = True
                self.world.change(self.world.deployment, {"spec": {"paused": False}})
            case "stand still":
                self.paused = rest[0]
                self.write()
            case _:
                raise AssertionError(name)

    def engine(self, writes_left: int | None, late: int = 0) -> None:
        first = self.views[-late - 1] if late and len(self.views) > late else None
        try:
            run_engine(self.world, writes_left=writes_left, first=first)
        except (Killed, Conflict):
            return
        now = max(self.limit(), self.new_pods()) if sum_old(self.world) else self.world.wanted
        if first is not None:  # what it was late to see it will be told of yet
            self.licence = max(self.licence, now)
            return
        self.lost, self.resumed = 0, False
        # A move goes on within its bound until the change of replicas has been spread.
        self.scaled = self.scaled and self.world.is_scaling() and self.existing() != self.world.wanted
        self.licence = max(self.licence, now) if self.scaled else now
        self.spare = max(self.spare, self.spare_now()) if self.scaled else self.spare_now()

    def readiness(self, index: int, ready: bool) -> None:
        pods = [p for p in self.world.pods.values() if (p.ready_since is None) == ready]
        if not pods:
            return
        pods[index % len(pods)].ready_since = self.world.now if ready else None
        self.lost += not ready
        for replica_set in self.world.replica_sets.values():
            self.world._report_set(replica_set)

    # --- what must not ---------------------------------------------------------------------------------------------

    def native(self) -> None:
        """One round of the Deployment controller, judged."""
        new, total, serving = self.new_pods(), self.existing(), self.serving()
        scaling = self.world.spec["paused"] or self.world.is_scaling()  # then it spreads pods in proportion
        self.world.sync()
        assert self.world.spec["strategy"]["type"] == "RollingUpdate"
        if self.resumed:
            return
        slack = 1 + math.ceil(self.world.wanted / 10) if self.scaled else 0
        if self.new_pods() > new and not scaling:
            allowed = max(self.licence, self.limit() + slack) if sum_old(self.world) else self.world.wanted
            assert self.new_pods() <= allowed, f"{self.new_pods()} new pods, {allowed} allowed"
        if scaling:
            self.licence = max(self.licence, self.new_pods())
        if self.existing() > total:
            most = self.world.wanted + max(self.spare, self.spare_now()) + slack
            assert self.existing() <= max(total, most), f"{self.existing()} pods"
        if not self.scaled:
            least = self.world.wanted - self.fewer() - self.lost
            assert self.serving() >= min(serving, least), f"{self.serving()} pods serve, {least} must"

    def limit(self) -> int:
        total = self.world.wanted
        limit = max(0, min(total, scaled(self.partition, total, math.ceil)))
        if total > 1 and isinstance(self.partition, str) and self.partition != "100%":
            limit = min(limit, total - 1)
        return limit

    def spare_now(self) -> int:
        return scaled(self.surge, self.world.wanted, math.ceil)

    def new_pods(self) -> int:
        new = self.world.new()
        return new["spec"]["replicas"] if new else 0

    def existing(self) -> int:
        return sum(r["spec"]["replicas"] for r in self.world.replica_sets.values())

    def serving(self) -> int:
        """Pods that stay and are available by the person's own minReadySeconds."""
        sets = self.world.replica_sets.items()
        available = {n: self.world.available(self.world.pods_of(n), self.min_ready) for n, _ in sets}
        return sum(min(r["spec"]["replicas"], available[n]) for n, r in sets)

    def fewer(self) -> int:
        total = self.world.wanted
        surge, fewer = scaled(self.surge, total, math.ceil), scaled(self.unavailable, total, math.floor)
        return 1 if surge == fewer == 0 else min(fewer, total)

    # --- the way to the end ----------------------------------------------------------------------------------------

    def calm(self) -> None:
        """Everybody does what is to be done, every pod becomes ready, and it comes to rest."""
        for _ in range(200):
            before = self.world.version
            self.round()
            if before == self.world.version:
                return
        raise AssertionError("it does not come to rest")

    def round(self) -> None:
        self.engine(None)
        self.native()
        self.world.sync_replica_sets()
        for pod in self.world.pods.values():
            if pod.ready_since is None:
                pod.ready_since = self.world.now
        self.world.now += 1 + self.min_ready
        self.world.sync_replica_sets()
        self.native()
        self.engine(None)

    def check_rest(self) -> None:
        world, spec = self.world, self.world.spec
        assert spec["paused"] and spec["minReadySeconds"] == self.min_ready
        assert spec["progressDeadlineSeconds"] == 600
        assert self.existing() == world.wanted
        assert self.new_pods() >= self.limit() or self.paused or not sum_old(world) or not world.wanted
        marks = [r["spec"].get("minReadySeconds", 0) for r in world.replica_sets.values()]
        assert MAX_READY_SECONDS not in marks

    def check_given_back(self) -> None:
        seen = PartitionedDeployment(self.world.seen_deployment(), self.world.seen_replica_sets())
        for write in seen.release(Ending.RESUMED):
            self.world.apply(write)
        self.calm_natively()
        spec, numbers = self.world.spec, self.world.spec["strategy"]["rollingUpdate"]
        assert self.world.deployment["metadata"]["annotations"] == {}
        assert (spec["paused"], spec["minReadySeconds"]) == (False, self.min_ready)
        assert spec["progressDeadlineSeconds"] == 600
        assert numbers == {"maxSurge": self.surge, "maxUnavailable": self.unavailable}
        assert self.new_pods() == self.world.wanted == self.existing()

    def calm_natively(self) -> None:
        for _ in range(200):
            before = self.world.version
            self.world.sync()
            self.world.sync_replica_sets()
            for pod in self.world.pods.values():
                pod.ready_since = self.world.now if pod.ready_since is None else pod.ready_since
            self.world.now += 1 + self.min_ready
            self.world.sync_replica_sets()
            if before == self.world.version:
                return
        raise AssertionError("the Deployment controller does not come to rest")


def scaled(value: Number, total: int, rounding: Any) -> int:
    return value if isinstance(value, int) else int(rounding(int(value[:-1]) * total / 100))


def sum_old(world: Native) -> int:
    return sum(r["spec"]["replicas"] for r in world.old())


def tell(replicas: int, surge: Number, unavailable: Number, min_ready: int, events: list[Action]) -> Story:
    if surge in (0, "0%") and unavailable in (0, "0%"):
        unavailable = 1  # what admission makes of it
    story = Story(native(replicas, surge, unavailable, min_ready=min_ready), surge, unavailable, min_ready)
    story.write()
    story.engine(None)
    story.take(("template", 2))
    for event in events:
        story.take(event)
    return story


def check(replicas: int, surge: Number, unavailable: Number, min_ready: int, events: list[Action]) -> None:
    story = tell(replicas, surge, unavailable, min_ready, events)
    story.calm()
    story.check_rest()
    story.check_given_back()


stories = given(sizes, numbers, numbers, st.sampled_from([0, 0, 5]), st.lists(actions, max_size=40))


@stories
@settings(max_examples=15, deadline=None)
def test_no_story_goes_too_far_or_gets_stuck(
    replicas: int, surge: Number, unavailable: Number, min_ready: int, events: list[Action]
) -> None:
    check(replicas, surge, unavailable, min_ready, events)


@pytest.mark.slow
@stories
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_story_goes_too_far_or_gets_stuck_at_length(
    replicas: int, surge: Number, unavailable: Number, min_ready: int, events: list[Action]
) -> None:
    check(replicas, surge, unavailable, min_ready, events)
