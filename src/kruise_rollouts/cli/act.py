"""Commands that change something: what they share, and pause, resume and restart.

Every command works object by object: successes are printed, refusals collected, and the exit status is 1 if there
was one. Wire bodies are those that existing scripts and permissions expect. approve and jump are in step.py, undo
and abort in undo.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, Forbidden
from kruise_rollouts.views.history import is_held
from kruise_rollouts.views.rollout import rollout_view

from .errors import CommandError, refusal, server_error
from .output import Printer
from .resources import Discovery, Named
from .session import MERGE_PATCH, Session

ROLLOUTS = "rollouts.kruise.io"


def is_rollout(one: Named) -> bool:
    return one.served.group == ROLLOUTS and one.served.kind.kind == "Rollout"


class Work(Struct, frozen=True):
    """What every acting command is handed."""

    session: Session
    discovery: Discovery
    printer: Printer
    dry_run: str  # "none", "client", "server"


Act = Callable[[Work, Named], None]


def each(work: Work, named: Sequence[Named], act: Act) -> None:
    """`act` on every object; raises at the end, with one line per failure."""
    failures = []
    for one in named:
        try:
            act(work, one)
        except CommandError as error:
            failures.append(error.message)
        except ApiError as error:
            failures.append(server_error(error))
    if failures:
        raise CommandError("\n".join(failures))


def refuse(one: Named, reason: str) -> CommandError:
    """A refusal of one object, worded as kubectl words it."""
    return refusal(f'{one.served.resource_name} "{one.name}" {reason}')


def refuse_kind(work: Work, one: Named, doing: str, command: str) -> CommandError:
    """A refusal of what only Rollouts can have done to them; of a workload it names the Rollout that can."""
    owner = rollout_of(work.session, work.discovery, one) if one.ns else ""
    instead = (
        f": name its Rollout: kubectl kruise rollout {command} rollout/{owner} -n {one.ns}" if owner else ""
    )
    return refuse(one, f"{doing} is not supported{instead}")


def patch(
    work: Work, one: Named, body: Json, *, subresource: str = "", content_type: str = MERGE_PATCH
) -> JsonObject:
    """The object after the change; as it is with --dry-run=client. Raises ApiError."""
    if work.dry_run == "client":
        return work.session.get(one.path)
    path = f"{one.path}/{subresource}" if subresource else one.path
    params = {"dryRun": "All"} if work.dry_run == "server" else {}
    return work.session.patch(path, body, content_type=content_type, params=params)


def _changed(work: Work, one: Named, body: Json, word: str) -> None:
    try:
        after = patch(work, one, body)
    except ApiError as error:
        raise refusal(f"failed to patch: {error.message}") from None
    work.printer.result(one.label, word, after)


_PAUSED = {
    "Rollout": (("spec", "strategy", "paused"), ROLLOUTS),
    "Deployment": (("spec", "paused"), "apps"),
    "CloneSet": (("spec", "updateStrategy", "paused"), "apps.kruise.io"),
}


def pause(work: Work, one: Named) -> None:
    _set_paused(work, one, True)


def resume(work: Work, one: Named) -> None:
    _set_paused(work, one, False)


def _set_paused(work: Work, one: Named, wanted: bool) -> None:
    fields, group = _PAUSED.get(one.served.kind.kind, ((), ""))
    if not fields or one.served.group != group:
        raise refuse(one, f"{'pausing' if wanted else 'resuming'} is not supported")
    found: Json = work.session.get(one.path)
    for field in fields:
        found = (found or {}).get(field)
    if bool(found) == wanted:
        raise refuse(one, "is already paused" if wanted else "is not paused")
    body: Json = True if wanted else None
    for field in reversed(fields):
        body = {field: body}
    _changed(work, one, body, "paused" if wanted else "resumed")


def restart(work: Work, one: Named) -> None:
    """Replaces all pods by a change of the pod template; under a Rollout that is a release of its own."""
    workload = workload_of(work.session, work.discovery, one)
    if workload.served.kind.kind not in ("Deployment", "StatefulSet", "DaemonSet", "CloneSet"):
        raise refuse(one, "restarting is not supported")
    found = work.session.get(workload.path)
    if found.get("spec", {}).get("paused"):
        raise refuse(workload, f"can't restart paused deployment{_way_out(work, one, workload, found)}")
    stamp = work.session.now().isoformat(timespec="seconds")
    annotations = {"kubectl.kubernetes.io/restartedAt": stamp}
    _changed(work, workload, {"spec": {"template": {"metadata": {"annotations": annotations}}}}, "restarted")


def _way_out(work: Work, one: Named, workload: Named, found: JsonObject) -> str:
    """What to do about a pause that keeps a workload from being restarted; in a release resuming it is no way."""
    if not is_held(found):
        return " (run rollout resume first)"
    owner = one.name if is_rollout(one) else rollout_of(work.session, work.discovery, workload)
    target = f"rollout/{owner}" if owner else f"deployment/{workload.name}"
    command = f"kubectl kruise rollout undo {target} -n {workload.ns}"
    return (
        f": a release is going on. Let it finish, or put the old version back with: {command}; then restart"
    )


def workload_of(session: Session, discovery: Discovery, one: Named) -> Named:
    """`one`, or the workload that it refers to if it is a Rollout."""
    if not is_rollout(one):
        return one
    view = rollout_view(session.get(one.path))
    if not view.workload_name:
        raise refuse(one, "has no workloadRef")
    served = discovery.by_version(view.workload_api, view.workload_kind)
    return Named(served, one.ns, view.workload_name)


def rollout_of(session: Session, discovery: Discovery, workload: Named) -> str:
    """Name of the Rollout that refers to `workload`; "" if there is none, or none that one may see."""
    try:
        served = discovery.find(f"rollouts.{ROLLOUTS}")
    except CommandError:  # not installed
        return ""
    try:
        items = session.get(served.kind.path(workload.ns)).get("items", [])
    except Forbidden:
        return ""
    wanted = (workload.served.group, workload.served.kind.kind, workload.name)
    for view in map(rollout_view, items):
        if (view.workload_api.partition("/")[0], view.workload_kind, view.workload_name) == wanted:
            return view.name
    return ""
