"""What `kruise-rollout uninstall` would leave held: Rollouts and BatchReleases that only a running manager can end."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kruise_rollouts.api import keys
from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, NotFound
from kruise_rollouts.kube.objects import BATCH_RELEASE, ROLLOUT, Kind, meta_of
from kruise_rollouts.kube.protocols import Api
from kruise_rollouts.views.rollout import rollout_view

RESTING = ("", keys.RolloutPhase.INITIAL, keys.RolloutPhase.HEALTHY, keys.RolloutPhase.DISABLED, keys.ReleasePhase.COMPLETED)  # fmt: skip
SHOWN = 10  # names in a message


class Leftover(Struct, frozen=True):
    """One object that holds a workload."""

    kind: Kind
    ns: str
    name: str
    workload: str  # "Deployment web"
    is_kept: bool  # by a finalizer: it is not gone before a manager has given the workload back
    is_busy: bool  # in the middle of a release: its workload may be paused


async def leftovers(api: Api) -> tuple[Leftover, ...]:
    """All Rollouts, and BatchReleases that belong to none. Raises ApiError."""
    found = []
    for kind in (ROLLOUT, BATCH_RELEASE):
        try:
            items: list[JsonObject] = msgspec.json.decode(await api.request("GET", kind.path()))["items"]
        except NotFound:  # the CRD is gone already
            continue
        found += [_leftover(kind, obj) for obj in items if not meta_of(obj).get("ownerReferences")]
    return tuple(found)


def _leftover(kind: Kind, obj: JsonObject) -> Leftover:
    view = rollout_view(obj)
    return Leftover(
        kind=kind,
        ns=view.ns,
        name=view.name,
        workload=f"{view.workload_kind} {view.workload_name}",
        is_kept=bool(meta_of(obj).get("finalizers")),
        is_busy=view.phase not in RESTING,
    )


async def why_no_manager(api: Api, one: Leftover) -> str:
    """Why no manager seems to run; "" if one answers, or if this cluster cannot tell.

    Reading an object in the version it is not stored in asks the manager to convert it.
    """
    try:
        for version in (keys.V1ALPHA1, keys.V1BETA1):
            await api.request("GET", replace(one.kind, api_version=version).path(one.ns, one.name))
    except NotFound:
        return ""
    except ApiError as error:
        return error.message
    return ""


def named(left: Iterable[Leftover]) -> str:
    """One line for each, many of them cut short."""
    lines = [f"  {one.kind.kind} {one.ns}/{one.name} ({one.workload})" for one in left]
    more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
