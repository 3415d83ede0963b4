"""What log lines say of each object: which one, its release, and where it stands. How they are written is the runtime's."""

from __future__ import annotations

from kruise_rollouts.api.annotations import ExtraStatus
from kruise_rollouts.api.keys import ConditionType
from kruise_rollouts.api.rollouts_v1beta1 import BatchReleaseStatus, Rollout, RolloutStatus
from kruise_rollouts.core.deployment_view import DeploymentSnapshot
from kruise_rollouts.core.history import HistorySnapshot
from kruise_rollouts.core.snapshot import Draft
from kruise_rollouts.runtime.journal import Account

from .batches import SeenBatch
from .rollouts import SeenRollout


def of_rollout(seen: SeenRollout, draft: Draft[RolloutStatus]) -> Account:
    rollout = seen.snapshot.rollout
    return Account(
        _release(rollout, draft.status), _standing(rollout, draft.stored), _standing(rollout, draft.status)
    )


def _release(rollout: Rollout, status: RolloutStatus) -> dict[str, object]:
    sub = status.active
    return {
        "namespace": rollout.metadata.namespace,
        "rollout": rollout.metadata.name,
        "step": _step(rollout, status),
        "revision": sub.updated_revision if sub is not None else "",
    }


def _step(rollout: Rollout, status: RolloutStatus) -> str:
    index = status.active.current_step_index if status.active is not None else 0
    return f"{index}/{len(rollout.spec.strategy.steps)}"


def _standing(rollout: Rollout, status: RolloutStatus) -> str:
    """Its phase, and how far it is: "Progressing InRolling 2/3 StepPaused"."""
    condition = status.condition(ConditionType.PROGRESSING)
    reason = condition.reason if condition is not None else ""
    state = status.active.current_step_state if status.active is not None else ""
    return " ".join(word for word in (status.phase, reason, _step(rollout, status), state) if word)


def of_release(seen: SeenBatch, draft: Draft[BatchReleaseStatus]) -> Account:
    """Without a step: the batches of one that a person made are not steps."""
    release = seen.snapshot.release
    owner, count = release.metadata.controller, len(release.spec.release_plan.batches)

    def standing(status: BatchReleaseStatus) -> str:
        batch = status.canary_status
        return " ".join(
            w for w in (status.phase, f"{batch.current_batch + 1}/{count}", batch.batch_state) if w
        )

    pairs = {
        "namespace": release.metadata.namespace,
        "batchrelease": release.metadata.name,
        **({"rollout": owner.name} if owner is not None else {}),
        "batch": f"{draft.status.canary_status.current_batch + 1}/{count}",
        "revision": draft.status.update_revision,
    }
    return Account(pairs, standing(draft.stored), standing(draft.status))


def of_deployment(seen: DeploymentSnapshot, status: ExtraStatus) -> Account:
    """Its counters move all the time: they are no news."""
    meta = seen.deployment.metadata
    return Account({"namespace": meta.namespace, "deployment": meta.name}, "", "")


def of_history(seen: HistorySnapshot, status: None) -> Account:
    return Account(_release(seen.rollout, seen.rollout.status), "", "")
