"""A person's own settings of a Deployment while a release has others in their place: what is changed is kept for later.

Where they are kept is where the engine looks for them when it gives the Deployment back (settings.py). Which writes
come here is decided in admission.py.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api import keys
from kruise_rollouts.api.annotations import (
    ExtraStatus,
    OriginalStrategy,
    PartitionStrategy,
    encode,
    parse_extra_status,
    parse_original_strategy,
    parse_partition_strategy,
)
from kruise_rollouts.api.apps import Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdate
from kruise_rollouts.api.int_or_percent import scaled
from kruise_rollouts.kube.effects import Json, JsonObject

from .settings import DEFAULT_PROGRESS_SECONDS, RECREATE, own_rolling_update


class Wishes(Struct, frozen=True):
    """What a person changed of the settings that a release uses, and where it is kept until the end."""

    annotations: dict[str, str | None]
    spec: JsonObject  # merge patch that puts the settings of the release back
    told: tuple[str, ...]  # what is newly recorded, for people
    problem: str = ""  # not "": the API server would refuse this at the end; it must not be recorded


def wishes_of(old: Deployment, new: Deployment) -> Wishes | None:
    """None if nothing was changed, or the settings in the spec are still the person's own."""
    notes = old.metadata.annotations
    status = parse_extra_status(notes.get(keys.DEPLOYMENT_EXTRA_STATUS)) or ExtraStatus()
    strategy = parse_partition_strategy(notes.get(keys.DEPLOYMENT_STRATEGY))
    blue_green = parse_original_strategy(notes.get(keys.ORIGINAL_DEPLOYMENT_STRATEGY))
    saved = blue_green or status.original
    if saved is None or (strategy is None and blue_green is None):
        return None
    changed, back = _changed(old, new), _put_back(old, new)
    if not changed:
        return Wishes({}, back, ()) if back else None
    wanted, rolling = _updated(saved, strategy, changed)
    problem = _problem(wanted, rolling)
    if problem:
        return Wishes({}, {}, (), problem)
    annotations: dict[str, str | None] = {}
    full = replace(wanted, max_surge=rolling.max_surge, max_unavailable=rolling.max_unavailable)
    if blue_green is not None:
        annotations[keys.ORIGINAL_DEPLOYMENT_STRATEGY] = encode(full)
    else:
        # In the strategy as well, if there is one: but that may be lost, or be garbled by hand.
        kept = wanted if changed.keys().isdisjoint(("maxSurge", "maxUnavailable")) else full
        annotations[keys.DEPLOYMENT_EXTRA_STATUS] = encode(replace(status, original=kept))
    if strategy is not None:
        annotations[keys.DEPLOYMENT_STRATEGY] = encode(replace(strategy, rolling_update=rolling))
    was = _flat(saved, own_rolling_update(strategy, saved))
    now = _flat(wanted, rolling)
    told = tuple(
        f"{name} {value}" for name, value in now.items() if was.get(name) != value and value is not None
    )
    return Wishes(annotations, back, told)


def _changed(old: Deployment, new: Deployment) -> dict[str, Json]:
    """Settings that this update changes, or states anew in the last applied configuration, by wire name."""
    was, now = _settings(old.spec), _settings(new.spec)
    changed = {name: value for name, value in now.items() if was[name] != value and value is not None}
    before, after = (o.metadata.annotations.get(keys.LAST_APPLIED, "") for o in (old, new))
    return changed if after == before else changed | _applied(after)


def _settings(spec: DeploymentSpec) -> dict[str, Json]:
    rolling = spec.strategy.rolling_update or RollingUpdate()
    return {
        "minReadySeconds": spec.min_ready_seconds,
        "progressDeadlineSeconds": spec.progress_deadline_seconds,
        "type": spec.strategy.type or None,
        "maxSurge": rolling.max_surge,
        "maxUnavailable": rolling.max_unavailable,
    }


class _Applied(Struct, frozen=True):
    spec: JsonObject = {}


def _applied(text: str) -> dict[str, Json]:
    """Settings that a last applied configuration names: those may equal ours and still be meant.

    Nothing if it cannot be read.
    """
    try:
        raw = msgspec.json.decode(text, type=_Applied).spec
        read = _settings(msgspec.json.decode(msgspec.json.encode(raw), type=DeploymentSpec))
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return {}
    strategy = raw.get("strategy") or {}
    named = {*raw, *strategy, *(strategy.get("rollingUpdate") or {})}
    return {name: value for name, value in read.items() if name in named and value is not None}


def _updated(
    saved: OriginalStrategy, strategy: PartitionStrategy | None, changed: dict[str, Json]
) -> tuple[OriginalStrategy, RollingUpdate]:
    """`saved` and the person's own rolling update, with what was `changed`."""
    wanted, rolling = saved, own_rolling_update(strategy, saved)
    if "minReadySeconds" in changed:
        wanted = replace(wanted, min_ready_seconds=changed["minReadySeconds"])
    if "progressDeadlineSeconds" in changed:
        wanted = replace(wanted, progress_deadline_seconds=changed["progressDeadlineSeconds"])
    if "type" in changed:
        wanted = replace(wanted, type=RECREATE if changed["type"] == RECREATE else "")
    elif "maxSurge" in changed or "maxUnavailable" in changed:
        wanted = replace(wanted, type="")  # these mean RollingUpdate
    if "maxSurge" in changed:
        rolling = replace(rolling, max_surge=changed["maxSurge"])
    if "maxUnavailable" in changed:
        rolling = replace(rolling, max_unavailable=changed["maxUnavailable"])
    return wanted, rolling


def _problem(wanted: OriginalStrategy, rolling: RollingUpdate) -> str:
    """What is wrong with the settings, by the rules of the API server, which sees ours in their place."""
    progress = (
        DEFAULT_PROGRESS_SECONDS
        if wanted.progress_deadline_seconds is None
        else wanted.progress_deadline_seconds
    )
    if wanted.min_ready_seconds < 0:
        return f"minReadySeconds {wanted.min_ready_seconds} must not be negative"
    if progress <= wanted.min_ready_seconds:
        return f"progressDeadlineSeconds {progress} must be greater than minReadySeconds {wanted.min_ready_seconds}"
    amounts = {"maxSurge": rolling.max_surge, "maxUnavailable": rolling.max_unavailable}
    sizes = {name: 0 if value is None else scaled(value, 100, up=True) for name, value in amounts.items()}
    for name, size in sizes.items():
        if size is None or size < 0:
            return f"{name} {amounts[name]!r} must be a number of pods or a percentage, not negative"
    if isinstance(rolling.max_unavailable, str) and (sizes["maxUnavailable"] or 0) > 100:
        return f"maxUnavailable {rolling.max_unavailable} must not be more than 100%"
    if not any(sizes.values()) and None not in amounts.values():
        return "maxUnavailable must not be 0 when maxSurge is 0"
    return ""


def _flat(saved: OriginalStrategy, rolling: RollingUpdate) -> dict[str, Json]:
    return {
        "minReadySeconds": saved.min_ready_seconds,
        "progressDeadlineSeconds": saved.progress_deadline_seconds,
        "type": saved.type or "RollingUpdate",
        "maxSurge": rolling.max_surge,
        "maxUnavailable": rolling.max_unavailable,
    }


def _put_back(old: Deployment, new: Deployment) -> JsonObject:
    """Where the spec has a number of ours it stays; a person's own number is replaced by the new one."""
    body: JsonObject = {}
    ready, progress = old.spec.min_ready_seconds, old.spec.progress_deadline_seconds
    if new.spec.min_ready_seconds != ready == keys.MAX_READY_SECONDS:
        body["minReadySeconds"] = ready
    if new.spec.progress_deadline_seconds != progress == keys.MAX_PROGRESS_SECONDS:
        body["progressDeadlineSeconds"] = progress
    if new.spec.strategy != old.spec.strategy:
        body["strategy"] = _whole(old.spec.strategy)
    return body


def _whole(strategy: DeploymentStrategy) -> JsonObject:
    rolling = strategy.rolling_update
    return {
        "type": strategy.type or None,
        "rollingUpdate": None if rolling is None else msgspec.to_builtins(rolling),
    }
