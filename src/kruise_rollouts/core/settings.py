"""A Deployment's own settings and ours in their place: what is changed during a release and how it is given back.

Only the five spec fields that a release touches, and the bookkeeping of their first values. When to change them is
deployment_engine.py; the template and replicas are never touched.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api.annotations import OriginalStrategy, PartitionStrategy
from kruise_rollouts.api.apps import Deployment, RollingUpdate
from kruise_rollouts.api.int_or_percent import parse_percent
from kruise_rollouts.api.keys import MAX_PROGRESS_SECONDS, MAX_READY_SECONDS
from kruise_rollouts.core.plan import slack
from kruise_rollouts.kube.effects import JsonObject

RECREATE = "Recreate"
ROLLING_UPDATE = "RollingUpdate"
DEFAULT_PROGRESS_SECONDS = 600  # what the API server fills in


class Settings(Struct, frozen=True):
    """What a release wants of a Deployment's spec."""

    paused: bool
    min_ready_seconds: int
    progress_deadline_seconds: int | None  # None: the API server's default
    rolling_update: RollingUpdate  # both members set


def at_rest(original: OriginalStrategy, rolling_update: RollingUpdate) -> Settings:
    """Nothing moves, and pods count as available when the person says so."""
    return Settings(True, original.min_ready_seconds, original.progress_deadline_seconds, rolling_update)


def on_the_move(rolling_update: RollingUpdate) -> Settings:
    """The Deployment controller acts, and stops by itself because no new pod ever counts as available."""
    return Settings(False, MAX_READY_SECONDS, MAX_PROGRESS_SECONDS, rolling_update)


def is_moving(deployment: Deployment) -> bool:
    """True while new pods are kept from counting as available, and the Deployment controller may act."""
    return not deployment.spec.paused and deployment.spec.min_ready_seconds == MAX_READY_SECONDS


def is_recreate(deployment: Deployment) -> bool:
    return deployment.spec.strategy.type == RECREATE


def original_of(deployment: Deployment, saved: OriginalStrategy | None) -> OriginalStrategy:
    """The person's own settings: those saved, brought up to date with what the person has changed since.

    Without anything saved, a Deployment that is paused and Recreate is taken to be held by OpenKruise Rollouts, whose
    mark that is: it rolls.
    """
    spec = deployment.spec
    if saved is None:
        return _first_seen(deployment)
    saved = _acceptable(saved)
    # What is in the spec and not one of our two numbers, a person put there.
    if spec.min_ready_seconds != MAX_READY_SECONDS:
        saved = replace(saved, min_ready_seconds=spec.min_ready_seconds)
    if spec.progress_deadline_seconds != MAX_PROGRESS_SECONDS:
        saved = replace(saved, progress_deadline_seconds=spec.progress_deadline_seconds)
    return saved


def _acceptable(saved: OriginalStrategy) -> OriginalStrategy:
    """`saved` with times that the API server takes: an annotation may have been written by hand."""
    ready, deadline = saved.min_ready_seconds, saved.progress_deadline_seconds
    if not 0 <= ready < MAX_READY_SECONDS:
        ready = 0
    if deadline is not None and not ready < deadline <= MAX_PROGRESS_SECONDS:
        deadline = max(DEFAULT_PROGRESS_SECONDS, ready + 1)
    return replace(saved, min_ready_seconds=ready, progress_deadline_seconds=deadline)


def _first_seen(deployment: Deployment) -> OriginalStrategy:
    spec = deployment.spec
    own = spec.strategy.rolling_update or RollingUpdate()
    is_ours = spec.min_ready_seconds == MAX_READY_SECONDS  # what was saved is lost: the API server's defaults
    return OriginalStrategy(
        own.max_unavailable,
        own.max_surge,
        min_ready_seconds=0 if is_ours else spec.min_ready_seconds,
        progress_deadline_seconds=DEFAULT_PROGRESS_SECONDS if is_ours else spec.progress_deadline_seconds,
        type=RECREATE if is_recreate(deployment) and not spec.paused else "",
    )


def own_rolling_update(strategy: PartitionStrategy | None, original: OriginalStrategy) -> RollingUpdate:
    """The person's maxSurge and maxUnavailable; members are None if nobody ever said."""
    if original.type == RECREATE:
        return RollingUpdate(max_unavailable=1, max_surge=0)
    if strategy is not None and strategy.rolling_update is not None:
        return strategy.rolling_update
    if original.max_unavailable is None and original.max_surge is None:
        return RollingUpdate(max_unavailable="25%", max_surge="25%")
    return RollingUpdate(original.max_unavailable, original.max_surge)


def spec_patch(deployment: Deployment, want: Settings) -> JsonObject:
    """Merge patch of the spec that brings `want`; {} if it is there already."""
    spec = deployment.spec
    body: JsonObject = {}
    if spec.paused != want.paused:
        body["paused"] = want.paused
    if spec.min_ready_seconds != want.min_ready_seconds:
        body["minReadySeconds"] = want.min_ready_seconds
    if spec.progress_deadline_seconds != want.progress_deadline_seconds:
        body["progressDeadlineSeconds"] = want.progress_deadline_seconds
    if spec.strategy.type == RECREATE or spec.strategy.rolling_update != want.rolling_update:
        body["strategy"] = rolling_strategy(want.rolling_update)
    return body


def rolling_strategy(numbers: RollingUpdate) -> JsonObject:
    """spec.strategy as a whole."""
    update = {"maxSurge": numbers.max_surge, "maxUnavailable": numbers.max_unavailable}
    return {"type": ROLLING_UPDATE, "rollingUpdate": update}


def restored_spec(
    original: OriginalStrategy, strategy: PartitionStrategy | None, *, paused: bool
) -> JsonObject:
    """Merge patch of the spec that gives the person's own settings back, whatever is there now."""
    recreate: JsonObject = {"type": RECREATE, "rollingUpdate": None}
    recreates = original.type == RECREATE
    return {
        "paused": paused,
        "minReadySeconds": original.min_ready_seconds,
        "progressDeadlineSeconds": original.progress_deadline_seconds,
        "strategy": recreate if recreates else rolling_strategy(_restorable(strategy, original)),
    }


def _restorable(strategy: PartitionStrategy | None, original: OriginalStrategy) -> RollingUpdate:
    """The person's numbers as the API server takes them: it knows nothing of an annotation's absurdities."""
    written = (own_rolling_update(strategy, original), own_rolling_update(None, original))
    usable = (o for o in written if slack(o.max_surge, o.max_unavailable, 1) is not None)
    own = next(usable, own_rolling_update(None, OriginalStrategy()))
    if own.max_surge in (0, "0%") and own.max_unavailable in (0, "0%"):
        return replace(own, max_unavailable=1)
    if isinstance(own.max_unavailable, str) and (parse_percent(own.max_unavailable) or 0) > 100:
        return replace(own, max_unavailable="100%")
    return own
