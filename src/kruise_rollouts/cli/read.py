"""Commands that only look: status, history, describe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, Gone, NotFound, Unavailable
from kruise_rollouts.views.history import is_held, revisions, without_hash
from kruise_rollouts.views.progress import Progress, deployment_progress, rollout_progress
from kruise_rollouts.views.rollout import RolloutView, pod_view, rollout_view, workload_view
from kruise_rollouts.views.text import describe as describe_text
from kruise_rollouts.views.text import rollout_table, table

from .act import is_rollout, refuse, rollout_of, workload_of
from .errors import CommandError, refusal, server_error
from .output import pod_template
from .resources import Discovery, Named
from .session import Session
from .undo import owned_replica_sets

CLEAR = "\033[2J\033[H"
EXIT_NEEDS_PERSON = 3  # of `status --exit-on-pause`: not failed, but a person must act


class Look(Struct, frozen=True):
    """Where to look."""

    session: Session
    discovery: Discovery


class Following(Struct, frozen=True):
    """How `status` follows."""

    watch: bool = True
    timeout: float = 0.0  # seconds; 0: for ever
    revision: int = 0  # of a Deployment; not 0: fail unless it runs
    exit_on_pause: bool = False


class Drawing(Struct, frozen=True):
    """How `describe` draws."""

    watch: bool = False
    timeout: float = 0.0  # seconds; 0: for ever
    colour: bool = False
    every_pod: bool = False  # False: those of the current batch


def status(look: Look, named: Sequence[Named], how: Following) -> None:
    """Follows one object until its release is over. Raises CommandError if it failed, was removed or took too long."""
    if len(named) != 1:
        raise refusal(
            "rollout status is only supported on individual resources and resource collections - "
            f"{len(named)} resources were found"
        )
    read = _reader(look, named[0], how)
    last = ""
    for obj in follow(look.session, named[0], timeout=how.timeout, once=not how.watch):
        progress = read(obj)
        if progress.outcome == "failed":
            raise CommandError(progress.line)
        if progress.line != last:
            print(progress.line, flush=True)
            last = progress.line
        if progress.outcome == "done":
            return
        if progress.needs_person and how.exit_on_pause:
            raise CommandError("", EXIT_NEEDS_PERSON)


def _reader(look: Look, one: Named, how: Following) -> Callable[[JsonObject], Progress]:
    if is_rollout(one):
        return lambda obj: _rollout_progress(look, obj)
    if one.served.kind.kind == "Deployment":
        if how.exit_on_pause:
            raise _without_pauses(look, one)
        return lambda obj: deployment_progress(obj, how.revision)
    raise refusal(f"no status viewer has been implemented for {one.served.kind_name}")


def _without_pauses(look: Look, one: Named) -> CommandError:
    """A Deployment does not say at which step its release is, so nobody can wait for a pause of it."""
    owner = rollout_of(look.session, look.discovery, one)
    if not owner:
        return refuse(one, "has no Rollout, so no step of it waits for anybody; leave out --exit-on-pause")
    command = f"kubectl kruise rollout status rollout/{owner} -n {one.ns} --exit-on-pause"
    return refuse(one, f"knows no steps; follow its Rollout: {command}")


def _rollout_progress(look: Look, obj: JsonObject) -> Progress:
    """Not over while the workload is held for a release that the Rollout has not yet begun with.

    Admission marks the workload in the very request that changes it, so `status` right after a change waits for it.
    """
    progress = rollout_progress(obj)
    view = rollout_view(obj)
    if view.stalled and view.stalled_reason == "WorkloadNotFound" and _workload(look, view) is not None:
        return Progress(
            f'Waiting for rollout "{view.name}" to see its workload...', "waiting"
        )  # both are new
    if progress.outcome == "waiting" or view.stalled or view.phase != "Healthy":
        return progress
    workload = _workload(look, view)
    if workload is None or not is_held(workload):
        return progress
    return Progress(f'Waiting for rollout "{view.name}" to begin with the new version...', "waiting")


def follow(session: Session, one: Named, *, timeout: float, once: bool = False) -> Iterator[JsonObject]:
    """Yields the object now and after each change; survives a server that ends the watch.

    Raises CommandError when it is deleted, or after `timeout` seconds (0: never).
    """
    deadline = session.mono() + timeout if timeout else None
    while True:
        obj = session.get(one.path)
        yield obj
        if once:
            return
        try:
            for event in session.watch(
                one.served.kind.path(one.ns), one.name, obj["metadata"]["resourceVersion"], deadline
            ):
                if event["type"] == "DELETED":
                    raise refusal("object has been deleted")
                yield event["object"]
        except (Gone, Unavailable):
            pass
        if deadline is not None and session.mono() >= deadline:
            raise refusal("timed out waiting for the condition")


def history(look: Look, one: Named, revision: int) -> None:
    """The revisions of a Deployment, or of the one that a Rollout refers to."""
    if revision < 0:
        raise refusal(f"revision must be a positive integer: {revision}")
    one = workload_of(look.session, look.discovery, one)
    if one.served.kind.kind != "Deployment":
        raise refusal(f'no history viewer has been implemented for "{one.served.kind_name}"')
    deployment = look.session.get(one.path)
    found = revisions(deployment, owned_replica_sets(look.session, deployment))
    if revision:
        match = next((r for r in found if r.number == revision), None)
        if match is None:
            raise refusal("unable to find the specified revision")
        print(f"{one.label} with revision #{revision}")
        print(pod_template(match.template))
        return
    print(f"{one.label} ")
    if not found:
        print("No rollout history found.")
        return
    rows = [("REVISION", "CHANGE-CAUSE"), *((str(r.number), r.cause or "<none>") for r in found)]
    print("\n".join(table(rows)))
    print()


def rollouts(look: Look, *, every_namespace: bool) -> None:
    """A table of Rollouts with the pods of their workloads; one workload that cannot be read hides no other row."""
    served = look.discovery.find("rollouts.rollouts.kruise.io")
    items = look.session.get(served.kind.path("" if every_namespace else look.session.namespace)).get(
        "items", []
    )
    if not items:
        where = "" if every_namespace else f" in {look.session.namespace} namespace"
        print(f"No resources found{where}.", file=sys.stderr)
        return
    listed = []
    for view in map(rollout_view, items):
        try:
            workload = _workload(look, view)
        except ApiError as error:
            print(server_error(error), file=sys.stderr)
            workload = None
        listed.append((view, workload_view(workload) if workload is not None else None))
    print("\n".join(rollout_table(listed, namespaces=every_namespace)))


def describe(look: Look, one: Named, how: Drawing) -> None:
    """The report about one Rollout, drawn again on each change with `watch`."""
    for obj in follow(look.session, one, timeout=how.timeout, once=not how.watch):
        report = _report(look, rollout_view(obj), how)
        sys.stdout.write((CLEAR if how.watch and sys.stdout.isatty() else "") + report)
        sys.stdout.flush()


def _report(look: Look, view: RolloutView, how: Drawing) -> str:
    workload = _workload(look, view)
    try:
        pods = _pods(look.session, view, workload, how.every_pod)
    except ApiError as error:
        print(server_error(error), file=sys.stderr)
        pods = []
    shown = workload_view(workload) if workload is not None else None
    return describe_text(view, shown, [pod_view(p) for p in pods], now=look.session.now(), colour=how.colour)


def _workload(look: Look, view: RolloutView) -> JsonObject | None:
    """The object that a Rollout refers to; None if it, or its kind, is not there."""
    served = look.discovery.served(view.workload_api, view.workload_kind)
    if not view.workload_name or served is None:
        return None
    try:
        return look.session.get(served.kind.path(view.ns, view.workload_name))
    except NotFound:
        return None


def _pods(
    session: Session, view: RolloutView, workload: JsonObject | None, every_pod: bool
) -> list[JsonObject]:
    """Pods of the current batch; with `every_pod` all of the new revision. Raises ApiError.

    Pods get the number of their batch when they are ready: those that have none are of the current one.
    """
    revision = view.pod_hash or _revision(session, view, workload)
    if not view.workload_name or not revision:
        return []
    key = "pod-template-hash" if view.workload_kind == "Deployment" else "controller-revision-hash"
    items: list[JsonObject] = session.get(
        f"/api/v1/namespaces/{view.ns}/pods", params={"labelSelector": f"{key}={revision}"}
    ).get("items", [])
    if every_pod or not view.step or view.phase != "Progressing":
        return items
    return [p for p in items if pod_view(p).batch in ("", str(view.step))]


def _revision(session: Session, view: RolloutView, workload: JsonObject | None) -> str:
    """What tells the pods to show while the status does not: in a release the new ones, else the stable ones.

    The status names the new pods only when their step is ready; until then one looks for what keeps them from it.
    """
    if view.phase != "Progressing" or workload is None or view.workload_kind != "Deployment":
        return view.stable_revision
    wanted = without_hash(workload["spec"]["template"])
    found = revisions(workload, owned_replica_sets(session, workload))
    return next((r.hash for r in reversed(found) if r.template == wanted), "")
