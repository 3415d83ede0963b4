"""Runs the engine on the model as the fold loop does, without the loop: no tasks, no caches, and it can be killed."""

from __future__ import annotations

from native_model import Native

from kruise_rollouts.api.annotations import ExtraStatus
from kruise_rollouts.core.deployment_engine import asks_for_pods
from kruise_rollouts.core.deployment_view import DeploymentSnapshot, is_driven, stored_status
from kruise_rollouts.kube.effects import Note, Write
from kruise_rollouts.operator.engine import DeploymentEngine

FOLDS = 32


class Killed(Exception):
    """The process ended between two writes."""


def look(world: Native, pending: ExtraStatus | None = None) -> DeploymentSnapshot:
    deployment = world.seen_deployment()
    seen = DeploymentSnapshot(
        world.clock, deployment, world.seen_replica_sets(), pending or stored_status(deployment)
    )
    return DeploymentSnapshot(*_fields(seen), world.seen_pods()) if asks_for_pods(seen) else seen


def run_engine(
    world: Native, *, writes_left: int | None = None, first: DeploymentSnapshot | None = None
) -> list[Note]:
    """Until it waits. `writes_left`: killed when it is about to make one more. `first`: what it sees at first.

    Raises Conflict as the API server would.
    """
    engine, pending, notes = DeploymentEngine(), None, list[Note]()

    def apply(write: Write) -> None:
        nonlocal writes_left
        if writes_left is not None:
            if writes_left == 0:
                raise Killed
            writes_left -= 1
        world.apply(write)

    for _ in range(FOLDS):
        if not is_driven(world.seen_deployment()):
            return notes
        seen, first = first or look(world, pending), None
        decision = engine.decide(seen)
        for write in decision.writes:
            apply(write)
        notes += decision.notes
        settled = (
            engine.persist(seen, decision.status) is None if pending is None else decision.status == pending
        )
        pending = decision.status
        if settled and not decision.writes:
            break
    else:
        raise AssertionError("two decisions undo each other")
    last = engine.persist(seen, decision.status)
    if last is not None:
        apply(last)
    return notes


def _fields(seen: DeploymentSnapshot) -> tuple[object, ...]:
    return seen.now, seen.deployment, seen.replica_sets, seen.status
