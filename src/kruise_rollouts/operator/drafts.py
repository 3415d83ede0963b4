"""How a status is stored: a merge patch of the fields that changed, never over what a person wrote meanwhile.

A person approves and jumps by writing the status. A write of ours that touches those fields, or takes the object to
another state, carries the resourceVersion of the object it was decided on, so it fails if somebody was faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec
from msgspec import Struct

from kruise_rollouts.core.snapshot import Draft
from kruise_rollouts.kube.effects import Json, JsonObject, Patch, Ref
from kruise_rollouts.kube.errors import Conflict
from kruise_rollouts.kube.patch import merge_diff

StatusT = TypeVar("StatusT", bound=Struct)
NO_FIELDS: Mapping[str, str] = MappingProxyType({})


def draft_of(pending: Draft[StatusT] | None, stored: StatusT, resource_version: str) -> Draft[StatusT]:
    """The draft to decide on: a new one of what is stored, or `pending` carried on.

    Our own writes to the object's metadata raise its version and leave the status as it was: then the draft follows.
    Raises Conflict if the status itself is another one by now: what was decided so far was decided on old news.
    """
    if pending is None:
        return Draft(stored, resource_version, stored)
    if pending.stored == stored:
        return msgspec.structs.replace(pending, resource_version=resource_version)
    raise Conflict("the status has been changed while it was decided on")


def status_write(
    ref: Ref, draft: Draft[StatusT], guarded: frozenset[str], required: Mapping[str, str] = NO_FIELDS
) -> Patch | None:
    """The write that stores `draft`; None if nothing changed.

    `guarded`: names of fields that people write too. `required`: by name of a member that may be missing altogether,
    the field that the schema wants in it; it goes along with any other.
    """
    if draft.status == draft.stored:
        return None
    new: JsonObject = msgspec.to_builtins(draft.status)
    never_stored = draft.stored == type(draft.stored)()
    # All of it the first time: the schema requires fields that look unchanged against nothing at all.
    body = new if never_stored else merge_diff(msgspec.to_builtins(draft.stored), new)
    version = draft.resource_version if _touches(body, guarded) else ""
    for member, field in required.items():
        if isinstance(written := body.get(member), dict):
            written.setdefault(field, new[member][field])
    return Patch(ref, {"status": body}, subresource="status", resource_version=version)


def _touches(body: Json, guarded: frozenset[str]) -> bool:
    if not isinstance(body, dict):
        return False
    return any(key in guarded or _touches(value, guarded) for key, value in body.items())
