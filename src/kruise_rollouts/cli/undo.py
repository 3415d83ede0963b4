"""undo and abort: the pod template of an earlier revision is put back, exactly as it was."""

from __future__ import annotations

from collections.abc import Sequence

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.views.history import Revision, restored_annotations, revisions, target, without_hash
from kruise_rollouts.views.rollout import rollout_view

from .act import Work, each, is_rollout, patch, refuse, refuse_kind, workload_of
from .errors import refusal
from .output import pod_template
from .resources import Named
from .session import JSON_PATCH, Session


def undo_all(work: Work, named: Sequence[Named], number: int) -> None:
    """Puts the template of an earlier revision back; a workload named twice is undone once."""
    if number < 0:
        raise refusal(f"unable to find specified revision {number} in history")
    direct = [n for n in named if not is_rollout(n)]
    referred = [n for n in named if is_rollout(n)]
    done: set[str] = set()

    def undo(work: Work, one: Named) -> None:
        workload = workload_of(work.session, work.discovery, one)
        if workload.path not in done:
            done.add(workload.path)
            _undo(work, workload, number)

    each(work, [*direct, *referred], undo)


def _undo(work: Work, one: Named, number: int) -> None:
    if one.served.kind.kind != "Deployment":
        raise refusal(f"no rollbacker has been implemented for {one.served.kind_name}")
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
        after = patch(work, one, body, content_type=JSON_PATCH)
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


def abort(work: Work, one: Named) -> None:
    """Ends a release that is under way: what ran before it is put back, whatever was tried since."""
    if not is_rollout(one):
        raise refuse_kind(work, one, "aborting", "abort")
    if rollout_view(work.session.get(one.path)).phase != "Progressing":
        raise refuse(one, "is not releasing anything, so there is nothing to abort; see rollout undo")
    _undo(work, workload_of(work.session, work.discovery, one), 0)
