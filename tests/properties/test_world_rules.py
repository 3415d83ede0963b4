"""The rules of world_rules.py see faults: each is planted here, and each must be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.scenarios.random_release import Act, Story
from tests.scenarios.stage import a_step
from world_rules import watch
from world_stage import World, play

from kruise_rollouts.core import steps
from kruise_rollouts.core.outcomes import Out, move, with_step
from kruise_rollouts.core.snapshot import RolloutSnapshot
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.effects import Patch, Write
from kruise_rollouts.operator.engine import DeploymentEngine

PLAN = (a_step("20%"), a_step("50%"), a_step("100%"))
STORY = Story(
    1, 10, "25%", 0, 0, PLAN, (Act("version", 2), Act("approve at once", after=2.0), Act("time", 5.0))
)
Plant = Callable[[pytest.MonkeyPatch], None]


def released() -> None:
    play(STORY, (), watch)


def test_without_a_fault_nothing_is_found() -> None:
    released()


def more_pods(patch: pytest.MonkeyPatch) -> None:
    advance = PartitionedDeployment.advance
    patch.setattr(PartitionedDeployment, "advance", lambda self, batch: advance(self, "70%"))


def impatience(patch: pytest.MonkeyPatch) -> None:
    def ready(seen: RolloutSnapshot) -> Out:
        return move(seen, with_step(seen, current_step_state="StepReady"))

    patch.setitem(steps.STEPS, "StepPaused", steps.Row(ready, ("StepReady",)))  # type: ignore[arg-type]


def forgetting_approvals(patch: pytest.MonkeyPatch) -> None:
    def paused(seen: RolloutSnapshot) -> Out:
        return move(seen, with_step(seen, current_step_state="StepPaused"))

    patch.setitem(steps.STEPS, "StepReady", steps.Row(paused, ("StepPaused",)))  # type: ignore[arg-type]


def changing(patch: pytest.MonkeyPatch, *where: str, value: Any) -> None:
    """What the engine writes into the spec of the Deployment, with one value of its own."""
    decide = DeploymentEngine.decide

    def spoilt(self: DeploymentEngine, seen: Any) -> Any:
        out = decide(self, seen)
        for write in out.writes:
            if isinstance(write, Patch) and write.ref.kind == "Deployment" and "spec" in write.body:
                inner = write.body["spec"]
                for name in where[:-1]:
                    inner = inner.setdefault(name, {})
                inner[where[-1]] = value
        return out

    patch.setattr(DeploymentEngine, "decide", spoilt)


def lost_capacity(patch: pytest.MonkeyPatch) -> None:
    changing(patch, "strategy", "rollingUpdate", "maxUnavailable", value="100%")


def too_much_surge(patch: pytest.MonkeyPatch) -> None:
    changing(patch, "strategy", "rollingUpdate", "maxSurge", value="100%")


def another_strategy(patch: pytest.MonkeyPatch) -> None:
    changing(patch, "strategy", value={"type": "Recreate", "rollingUpdate": None})


def releasing(patch: pytest.MonkeyPatch, spoil: Callable[[dict[str, Any]], None]) -> None:
    release = PartitionedDeployment.release

    def careless(self: PartitionedDeployment, ending: Ending) -> tuple[Write, ...]:
        writes = release(self, ending)
        for write in writes:
            if isinstance(write, Patch) and write.ref.kind == "Deployment":
                spoil(write.body)
        return writes

    patch.setattr(PartitionedDeployment, "release", careless)


def settings_not_given_back(patch: pytest.MonkeyPatch) -> None:
    def spoil(body: dict[str, Any]) -> None:
        if "spec" in body:
            body["spec"]["minReadySeconds"] = 7

    releasing(patch, spoil)


def marks_left(patch: pytest.MonkeyPatch) -> None:
    def spoil(body: dict[str, Any]) -> None:
        if "spec" in body:
            body["metadata"]["annotations"]["rollouts.kruise.io/forgotten"] = "true"

    releasing(patch, spoil)


def never_ending(patch: pytest.MonkeyPatch) -> None:
    def stay(seen: RolloutSnapshot) -> Out:
        return move(seen, seen.status)

    patch.setitem(steps.STEPS, "Completed", steps.Row(stay, ()))


FAULTS: dict[Plant, str] = {
    more_pods: "new pods",
    impatience: "nobody approved",
    forgetting_approvals: "was lost",
    lost_capacity: "may be missing",
    too_much_surge: "more are allowed",
    another_strategy: "strategy.type has changed",
    settings_not_given_back: "live and wanted differ",
    marks_left: "left behind",
    never_ending: "does not end",
}


@pytest.mark.slow
@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own rule: the first that is broken, which the diary follows."""
    plant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        released()
    first = str(found.value).partition("\n")[0]
    assert FAULTS[plant] in first, first


def test_a_world_that_is_played_twice_is_the_same_world() -> None:
    tales = [play(STORY, (), watch).tale() for _ in range(2)]
    assert tales[0] == tales[1]


def test_every_step_that_was_left_is_accounted_for() -> None:
    books: list[Any] = []

    def keep(world: World) -> None:
        watch(world)
        books.append(world.watchers[0].__self__)  # type: ignore[attr-defined]

    play(STORY, (), keep)
    count = books[0].count
    assert count["left"] == count["approved"] + count["waited"] + count["passed"] > 0
