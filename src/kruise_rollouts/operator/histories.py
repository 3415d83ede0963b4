"""The controller of RolloutHistories: gathers what core/history.py decides on. Woken by changes of a Rollout.

Plans and workloads are recorded whole, so they are read live and raw; that happens twice per release.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from kruise_rollouts.api.convert import CannotConvert, convert
from kruise_rollouts.api.keys import HISTORY_COMPLETED, V1ALPHA1, V1BETA1, RolloutPhase
from kruise_rollouts.api.rollouts_v1alpha1 import RolloutHistory
from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.core.history import HistorySnapshot, decide_history
from kruise_rollouts.kube.effects import Decision, JsonObject, Ref, Write
from kruise_rollouts.kube.objects import ROLLOUT
from kruise_rollouts.operator.workloads import find_workload, pods_of
from kruise_rollouts.operator.world import World
from kruise_rollouts.runtime.controller import Key

Read: TypeAlias = Callable[[Ref], Awaitable[JsonObject | None]]  # the live object, raw; None if there is none
ListHistories: TypeAlias = Callable[[str, str], Awaitable[tuple[RolloutHistory, ...]]]  # namespace, Rollout


class HistoryController:
    """Keys are (namespace, name) of a Rollout. It has no status of its own."""

    name = "rollouthistory"

    def __init__(self, read: Read, list_histories: ListHistories) -> None:
        self._read = read
        self._list = list_histories

    async def observe(self, key: Key, world: World, now: datetime, pending: None) -> HistorySnapshot | None:
        rollout = world.rollouts.get(*key)
        if rollout is None or rollout.status.phase not in (RolloutPhase.PROGRESSING, RolloutPhase.HEALTHY):
            return None
        histories = await self._list(*key)
        if rollout.status.phase == RolloutPhase.HEALTHY and all(
            h.status.phase == HISTORY_COMPLETED for h in histories
        ):
            return HistorySnapshot(rollout, {}, {}, histories, ())
        found = find_workload(world, key[0], rollout.spec.workload_ref)
        raw = await self._read(found.workload.state.ref) if found.workload is not None else None
        pods = await pods_of(world, key[0], found)
        return HistorySnapshot(rollout, await self._plan(key), (raw or {}).get("spec", {}), histories, pods)

    async def _plan(self, key: Key) -> JsonObject:
        """The spec in v1alpha1; {} if it has no such form."""
        raw = await self._read(ROLLOUT.ref(*key))
        if raw is None:
            return {}
        try:
            converted = convert({**raw, "apiVersion": V1BETA1, "kind": "Rollout"}, V1ALPHA1)
        except CannotConvert:
            return {}
        spec: JsonObject = converted.get("spec", {})
        return spec

    def decide(self, seen: HistorySnapshot) -> Decision[None]:
        return decide_history(seen)

    def persist(self, seen: HistorySnapshot, status: None) -> Write | None:
        return None


def is_worth_a_look(old: Rollout | None, new: Rollout | None) -> bool:
    """Whether a change of a Rollout may begin or complete a record."""
    if new is None or new.status.active is None:
        return False
    if old is None or old.status.phase != new.status.phase:
        return True
    was = old.status.active
    return was is None or was.observed_rollout_id != new.status.active.observed_rollout_id
