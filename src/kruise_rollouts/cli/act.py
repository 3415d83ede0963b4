"""Commands that change something: approve, promote, undo, pause, resume, restart.

Every command works object by object: successes are printed, refusals collected, and the exit status is 1 if there
was one. Wire bodies are those that existing scripts and permissions expect (spec of kubectl-kruise).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, Conflict
from kruise_rollouts.views.history import Revision, restored_annotations, revisions, target, without_hash
from kruise_rollouts.views.rollout import rollout_view

from .errors import CommandError, refusal, server_error
from .output import Printer, pod_template
from .resources import Discovery, Named
from .session import JSON_PATCH, MERGE_PATCH, Session

ROLLOUTS = "rollouts.kruise.io"
TRIES = 5  # a write that loses against the controller's own is tried again on what is there now


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


def _refuse(one: Named, reason: str) -> CommandError:
    return refusal(f'{one.served.resource_name} "{one.name}" {reason}')


def _patch(
    work: Work, one: Named, body: Json, *, subresource: str = "", content_type: str = MERGE_PATCH
) -> JsonObject:
    if work.dry_run == "client":
        return work.session.get(one.path)
    path = f"{one.path}/{subresource}" if subresource else one.path
    params = {"dryRun": "All"} if work.dry_run == "server" else {}
    return work.session.patch(path, body, content_type=content_type, params=params)


def _changed(work: Work, one: Named, body: Json, word: str) -> None:
    try:
        after = _patch(work, one, body)
    except ApiError as error:
        raise refusal(f"failed to patch: {error.message}") from None
    work.printer.result(one.label, word, after)


def approve(work: Work, one: Named) -> None:
    """Lets a paused Rollout go on with its next step.

    The patch carries the resourceVersion that the pause was read in, so it can only approve the step that the
    person saw; when the controller wrote in between, the state is read again.
    """
    if one.served.group != ROLLOUTS or one.served.kind.kind != "Rollout":
        raise _refuse(one, "approving is not supported")
    for _ in range(TRIES):
        found = work.session.get(one.path)
        part = _approvable(one, found)
        body = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "status": {part: {"currentStepState": "StepReady"}},
        }
        try:
            after = _patch(work, one, body, subresource="status")
        except Conflict:
            continue
        except ApiError as error:
            raise refusal(f"failed to patch: {error.message}") from None
        work.printer.result(one.label, "approved", after)
        return
    raise _refuse(one, "changed while it was being approved; look at it and approve again")


def _approvable(one: Named, found: JsonObject) -> str:
    """The sub-status to patch. Raises CommandError if the Rollout does not wait."""
    status = found.get("status") or {}
    for part, style in (("canaryStatus", "canary"), ("blueGreenStatus", "blue-green")):
        sub = status.get(part)
        if sub is None:
            continue
        if sub.get("currentStepState") != "StepPaused":
            raise _refuse(
                one, f"does not allow to approve, because current {style} state is not 'StepPaused'"
            )
        return part
    if one.served.kind.api_version.endswith("v1alpha1"):
        raise _refuse(one, "does not allow to approve, because current canary state is not 'StepPaused'")
    raise _refuse(one, "no need to approve: not in canary or blue-green progress")


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
        raise _refuse(one, f"{'pausing' if wanted else 'resuming'} is not supported")
    found: Json = work.session.get(one.path)
    for field in fields:
        found = (found or {}).get(field)
    if bool(found) == wanted:
        raise _refuse(one, "is already paused" if wanted else "is not paused")
    body: Json = True if wanted else None
    for field in reversed(fields):
        body = {field: body}
    _changed(work, one, body, "paused" if wanted else "resumed")


def restart(work: Work, one: Named) -> None:
    """Replaces all pods by a change of the pod template; under a Rollout that is a release of its own."""
    workload = workload_of(work.session, work.discovery, one)
    if workload.served.kind.kind not in ("Deployment", "StatefulSet", "DaemonSet", "CloneSet"):
        raise _refuse(one, "restarting is not supported")
    found = work.session.get(workload.path)
    if found.get("spec", {}).get("paused"):
        raise _refuse(workload, "can't restart paused deployment (run rollout resume first)")
    stamp = work.session.now().isoformat(timespec="seconds")
    annotations = {"kubectl.kubernetes.io/restartedAt": stamp}
    _changed(work, workload, {"spec": {"template": {"metadata": {"annotations": annotations}}}}, "restarted")


def workload_of(session: Session, discovery: Discovery, one: Named) -> Named:
    """`one`, or the workload that it refers to if it is a Rollout."""
    if one.served.kind.kind != "Rollout" or one.served.group != ROLLOUTS:
        return one
    view = rollout_view(session.get(one.path))
    if not view.workload_name:
        raise _refuse(one, "has no workloadRef")
    served = discovery.by_version(view.workload_api, view.workload_kind)
    return Named(served, one.ns, view.workload_name)


def undo_all(work: Work, named: Sequence[Named], number: int) -> None:
    """Puts the template of an earlier revision back; a workload named twice is undone once."""
    if number < 0:
        raise refusal(f"unable to find specified revision {number} in history")
    direct = [n for n in named if n.served.kind.kind != "Rollout"]
    referred = [n for n in named if n.served.kind.kind == "Rollout"]
    done: set[str] = set()

    def undo(work: Work, one: Named) -> None:
        workload = workload_of(work.session, work.discovery, one)
        if workload.path not in done:
            done.add(workload.path)
            _undo(work, workload, number)

    each(work, [*direct, *referred], undo)


def _undo(work: Work, one: Named, number: int) -> None:
    if one.served.kind.kind != "Deployment":
        kind = one.served.kind.kind
        raise refusal(f"no rollbacker has been implemented for {kind}.{one.served.group}")
    deployment = work.session.get(one.path)
    goal = _goal(work, one, deployment, number)
    if goal is None:
        work.printer.result(
            one.label, f"skipped rollback (current template already matches revision {number})", deployment
        )
        return
    if work.dry_run == "client":
        work.printer.result(one.label, "rolled back", deployment)
        work.printer.text(pod_template(goal.template))
        return
    body = [
        {"op": "replace", "path": "/spec/template", "value": goal.template},
        {"op": "replace", "path": "/metadata/annotations", "value": restored_annotations(deployment, goal)},
    ]
    try:
        after = _patch(work, one, body, content_type=JSON_PATCH)
    except ApiError as error:
        raise refusal(f"failed restoring revision {number}: {error.message}") from None
    work.printer.result(one.label, "rolled back", after)


def _goal(work: Work, one: Named, deployment: JsonObject, number: int) -> Revision | None:
    """The revision to restore; None if the template is that one already. Raises CommandError if there is none."""
    found = revisions(deployment, owned_replica_sets(work.session, deployment))
    goal = target(deployment, found, number)
    if goal is None:
        if number:
            raise refusal(f"unable to find specified revision {number} in history")
        raise refusal(f'no rollout history found for deployment "{one.name}"')
    return None if goal.template == without_hash(deployment["spec"]["template"]) else goal


def owned_replica_sets(session: Session, deployment: JsonObject) -> list[JsonObject]:
    """ReplicaSets that match the Deployment's selector; views.history keeps those it owns."""
    selector = deployment["spec"]["selector"]
    terms = [f"{k}={v}" for k, v in (selector.get("matchLabels") or {}).items()]
    for e in selector.get("matchExpressions") or ():
        terms.append(_term(e))
    path = f"/apis/apps/v1/namespaces/{deployment['metadata']['namespace']}/replicasets"
    items: list[JsonObject] = session.get(path, params={"labelSelector": ",".join(terms)}).get("items", [])
    return items


def _term(expression: JsonObject) -> str:
    key, values = expression["key"], ",".join(expression.get("values") or ())
    match expression["operator"]:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return str(key)
        case _:
            return f"!{key}"


def undo_fast(work: Work, one: Named) -> None:
    """Jumps back to the last step without traffic; the controller performs the jump."""
    if one.served.kind.kind != "Rollout" or one.served.group != ROLLOUTS:
        raise _refuse(one, "rollback is not supported on given object")
    found = work.session.get(one.path)
    view = rollout_view(found)
    if view.steps_total < view.step:
        raise _refuse(one, f"has {view.steps_total} steps, but current step is too large {view.step}")
    if view.step <= 1:
        raise _refuse(one, "already at the first step")
    best, most = 0, -1.0
    for number in range(view.step - 1, 0, -1):
        step = view.steps[number - 1]
        if step.traffic in ("", "0%") and not step.matches and (size := _size(step.replicas)) > most:
            best, most = number, size
    if not best:
        raise _refuse(one, "no previous step with no traffic found")
    part = "blueGreenStatus" if view.strategy == "BlueGreen" else "canaryStatus"
    jump_to(work, one, part, best, "rolled back")


def jump_to(work: Work, one: Named, part: str, step: int, word: str) -> None:
    """Asks the controller to go on with `step` (1-based)."""
    try:
        after = _patch(work, one, {"status": {part: {"nextStepIndex": step}}}, subresource="status")
    except ApiError as error:
        raise refusal(f"failed to patch: {error.message}") from None
    work.printer.result(one.label, word, after)


def _size(replicas: str) -> float:
    digits = replicas.removesuffix("%")
    return float(digits) if digits.isdigit() else 0.0
