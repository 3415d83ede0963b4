"""What a dashboard reads from the manager about Rollouts."""

from __future__ import annotations

import json

from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.operator.levels import show_rollouts
from kruise_rollouts.runtime.cache import Cache
from kruise_rollouts.runtime.telemetry import Metrics


def a_rollout(name: str, phase: str, step_state: str = "") -> bytes:
    status = {"phase": phase, **({"canaryStatus": {"currentStepState": step_state}} if step_state else {})}
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "1"}
    return json.dumps({"metadata": metadata, "spec": {}, "status": status}).encode()


async def test_metrics_count_rollouts_by_phase_and_those_that_wait_without_naming_any() -> None:
    rollouts = Cache(Rollout)
    for raw in (
        a_rollout("web", "Progressing", "StepPaused"),
        a_rollout("api", "Progressing", "StepUpgrade"),
        a_rollout("db", "Healthy", "StepPaused"),  # left from a release that is over
    ):
        rollouts.absorb(raw)
    metrics = Metrics()
    show_rollouts(metrics, rollouts)

    text = (await metrics.show()).decode()

    assert 'kruise_rollout_rollouts{phase="Progressing"} 2.0' in text
    assert 'kruise_rollout_rollouts{phase="Healthy"} 1.0' in text
    assert 'kruise_rollout_rollouts{phase="Disabled"} 0.0' in text
    assert "kruise_rollout_rollouts_paused 1.0" in text
    assert '"web"' not in text and '"shop"' not in text
