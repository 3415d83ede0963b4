"""Faults planted in the engine, each of which the properties of test_engine.py must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from msgspec.structs import replace
from test_engine import Action, Number, check, stories

import kruise_rollouts.core.deployment_engine as engine
from kruise_rollouts.api.apps import RollingUpdate
from kruise_rollouts.core import deployment_view
from kruise_rollouts.core.bound import Bound, bound_of
from kruise_rollouts.core.settings import at_rest, on_the_move

Faults = dict[str, tuple[str, Callable[..., Any]]]


def _reckless(target: int, pods: Any, allowed: Any, in_force: int) -> Bound:
    return Bound(target, 0)


def _forgets_the_gone(target: int, pods: Any, allowed: Any, in_force: int) -> Bound | None:
    return bound_of(target, replace(pods, old=max(pods.old, pods.total)), allowed, 0)


def _never_surges(target: int, pods: Any, allowed: Any, in_force: int) -> Bound:
    return replace(bound_of(target, pods, allowed, in_force) or Bound(1, 0), surge=0)


def _doubles_surge(target: int, pods: Any, allowed: Any, in_force: int) -> Bound | None:
    return bound_of(target, pods, replace(allowed, surge=2 * allowed.surge + 1), in_force)


FAULTS: Faults = {
    "goes all the way at once": ("bound_of", _reckless),
    "lets new pods fill what old ones left": ("bound_of", _forgets_the_gone),
    "takes a pod where none may be missing": ("bound_of", _never_surges),
    "adds more pods than the person allows": ("bound_of", _doubles_surge),
    "ignores the partition": ("updated_limit", lambda partition, total: total),
    "does not hide the new pods before it moves": ("_is_prepared", lambda view: True),
    "counts pods on their way out": ("_counts_too_many", lambda view: False),
    "believes that nobody resumes": ("_is_resumed", lambda view: False),
    "rests with surge": ("resting_update", lambda own, allowed, surplus: RollingUpdate(1, 1)),
    "rests without being paused": ("at_rest", lambda *a: replace(at_rest(*a), paused=False)),
    "never hides the new pods": ("on_the_move", lambda *a: replace(on_the_move(*a), min_ready_seconds=7)),
    "never stops": ("_target", lambda view: max(1, view.total)),
    "never starts": ("_target", lambda view: 0),
    "leaves its marks": ("_marks", lambda view, moving: []),
    "forgets the person's settings": ("_status", lambda view, message="": engine.ExtraStatus()),
}


# Ready pods fail after old ones have gone: too narrow a path to be found by chance in a short time.
RELAPSE: list[Action] = [
    ("partition", 5), ("native",), ("engine", None), ("native",), ("sets",), ("native",),
    ("ready", 0), ("ready", 0), ("ready", 0),
    ("engine", None), ("native",), ("native",), ("sets",), ("native",), ("unready", 9), ("unready", 8), ("unready", 7),
    ("engine", None), ("native",),
]  # fmt: skip


def test_pods_that_fail_after_old_ones_have_gone_are_not_made_up_for() -> None:
    check(10, 3, 0, 0, RELAPSE)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, mutant = FAULTS[fault]
    monkeypatch.setattr(engine if hasattr(engine, name) else deployment_view, name, mutant)

    @stories
    @settings(
        max_examples=600,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def story(
        replicas: int, surge: Number, unavailable: Number, min_ready: int, events: list[Action]
    ) -> None:
        check(replicas, surge, unavailable, min_ready, events)

    with pytest.raises(AssertionError):
        check(10, 3, 0, 0, RELAPSE)
        story()
