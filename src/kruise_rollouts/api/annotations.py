"""The JSON kept in annotations: exact on the way out, tolerant on the way in.

`parse_*` returns None for an absent annotation and for garbage: a person can write anything there, and whoever
reads it must have an answer for "not there" anyway. Key order and omissions of `encode` are those of OpenKruise
Rollouts, so that either can take over from the other in the middle of a release.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.objects import OwnerReference

from .apps import RollingUpdate
from .int_or_percent import IntOrPercent

ValueT = TypeVar("ValueT")


class InProgressing(Struct, frozen=True, rename="camel"):
    """keys.IN_PROGRESSING: admission held the workload for this Rollout. Only its presence decides."""

    rollout_name: str = ""


class PartitionStrategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    """keys.DEPLOYMENT_STRATEGY: where a Deployment rolled in batches should be, and how it may get there.

    Tools decode and rewrite it, dropping what they do not know; what must not be lost is kept in ExtraStatus. The last
    field is ours; OpenKruise Rollouts ignores it.
    """

    rolling_style: str = ""
    rolling_update: RollingUpdate | None = None  # the person's maxSurge and maxUnavailable
    paused: bool = False  # True: a new revision came, stand still until the BatchRelease has begun again
    partition: IntOrPercent = msgspec.field(default_factory=int)  # pods of the new revision
    revision: str = ""  # our hash of the template that `partition` is meant for; "": whichever there is


class OriginalStrategy(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A person's own settings of a Deployment or CloneSet while ours are in their place.

    The value of keys.ORIGINAL_DEPLOYMENT_STRATEGY during a blue-green release, and a part of ExtraStatus during one
    in batches. `type` is ours; OpenKruise Rollouts ignores it.
    """

    max_unavailable: IntOrPercent | None = None
    max_surge: IntOrPercent | None = None
    min_ready_seconds: int = 0
    progress_deadline_seconds: int | None = None
    type: str = ""  # strategy.type if it was not RollingUpdate


class ExtraStatus(Struct, frozen=True, rename="camel", omit_defaults=True):
    """keys.DEPLOYMENT_EXTRA_STATUS: pods, for tools that read it, and what the engine must not forget.

    The last two fields are ours; OpenKruise Rollouts ignores them.
    """

    updated_ready_replicas: int = 0
    expected_updated_replicas: int = 0
    original: OriginalStrategy | None = None  # None: nothing has been changed yet
    message: str = ""  # why nothing moves, for people; "": nothing is wrong


def encode(value: Struct) -> str:
    """Compact JSON of one of the Structs above, or of an owner reference."""
    return msgspec.json.encode(value).decode()


def parse_in_progressing(text: str | None) -> InProgressing | None:
    """Presence counts: text that is not JSON still means that a release goes on, of a Rollout without a name."""
    if not text:
        return None
    return _parse(text, InProgressing) or InProgressing()


def parse_partition_strategy(text: str | None) -> PartitionStrategy | None:
    return _parse(text, PartitionStrategy)


def parse_original_strategy(text: str | None) -> OriginalStrategy | None:
    return _parse(text, OriginalStrategy)


def parse_extra_status(text: str | None) -> ExtraStatus | None:
    return _parse(text, ExtraStatus)


def parse_control_info(text: str | None) -> OwnerReference | None:
    """keys.CONTROL_INFO: the BatchRelease that moves the pods of a workload; an owner without uid is nobody."""
    owner = _parse(text, OwnerReference)
    return owner if owner is not None and owner.uid else None


def _parse(text: str | None, kind: type[ValueT]) -> ValueT | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
