"""Gauges of a running manager: what waits, what is kept, and how the Rollouts are. Counters are counted where they happen.

Labels have few values, however large the cluster: phases, kinds and controllers, never names.
"""

from __future__ import annotations

from collections.abc import Callable

from kruise_rollouts.api.keys import RolloutPhase, StepState
from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.runtime.cache import Cache
from kruise_rollouts.runtime.telemetry import Metrics


def show_levels(metrics: Metrics, assembly: Assembly) -> None:
    """Has `metrics` show the levels of `assembly` whenever they are asked for."""
    for loop in assembly.controllers.all:
        depth = loop.queue.__len__
        metrics.level(
            "queue_depth", "Keys waiting to be worked on.", depth, label="controller", value=loop.name
        )
    for informer in assembly.informers.all:
        kept = informer.cache.__len__
        metrics.level(
            "cached_objects", "Objects in the caches.", kept, label="kind", value=informer.kind.kind
        )
    show_rollouts(metrics, assembly.world.rollouts)


def show_rollouts(metrics: Metrics, rollouts: Cache[Rollout]) -> None:
    """Rollouts by phase, and how many of them wait at a step."""

    def in_phase(phase: str) -> Callable[[], float]:
        return lambda: sum(r.status.phase == phase for r in rollouts.items())

    for phase in RolloutPhase:
        metrics.level("rollouts", "Rollouts by phase.", in_phase(phase), label="phase", value=phase)
    metrics.level(
        "rollouts_paused",
        "Rollouts that wait at a step, for a person or for a pause to end.",
        lambda: sum(_is_paused(r) for r in rollouts.items()),
    )


def _is_paused(rollout: Rollout) -> bool:
    active = rollout.status.active
    is_progressing = rollout.status.phase == RolloutPhase.PROGRESSING
    return is_progressing and active is not None and active.current_step_state == StepState.PAUSED
