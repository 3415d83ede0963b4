"""approve, jump and undo --fast: commands that change which step a Rollout is at, through its status.

Every write carries the resourceVersion that the step was read in, so none of them can act on a step that the person
has not seen.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, Conflict, Forbidden, NotFound
from kruise_rollouts.views.history import is_held
from kruise_rollouts.views.progress import instead_of_waiting, is_ending
from kruise_rollouts.views.rollout import RolloutView, rollout_view

from .act import Work, is_rollout, patch, refuse, refuse_kind, workload_of
from .errors import CommandError, refusal
from .resources import Named

TRIES = 5  # a write that loses against the controller's own is tried again on what is there now


def approve(work: Work, one: Named) -> None:
    """Lets a paused Rollout go on with its next step.

    The patch carries the resourceVersion that the pause was read in, so it can only approve the step that the
    person saw; when the controller wrote in between, the state is read again.
    """
    if not is_rollout(one):
        raise refuse_kind(work, one, "approving", "approve")
    for _ in range(TRIES):
        found = work.session.get(one.path)
        part = _approvable(work, one, found)
        body = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "status": {part: {"currentStepState": "StepReady"}},
        }
        try:
            after = patch(work, one, body, subresource="status")
        except Conflict:
            continue
        except ApiError as error:
            raise refusal(f"failed to patch: {error.message}") from None
        work.printer.result(one.label, "approved", after)
        return
    raise refuse(one, "changed while it was being approved; look at it and approve again")


def _approvable(work: Work, one: Named, found: JsonObject) -> str:
    """The sub-status to patch. Raises CommandError if the Rollout does not wait."""
    status = found.get("status") or {}
    for part, style in (("canaryStatus", "canary"), ("blueGreenStatus", "blue-green")):
        sub = status.get(part)
        if sub is None:
            continue
        if sub.get("currentStepState") != "StepPaused":
            raise _not_waiting(work, one, found, style)
        return part
    if one.served.kind.api_version.endswith("v1alpha1"):
        raise _not_waiting(work, one, found, "canary")
    now = _now(work, one, found)
    raise refuse(one, f"no need to approve: not in canary or blue-green progress: {now}")


def _not_waiting(work: Work, one: Named, found: JsonObject, style: str) -> CommandError:
    words = (
        f"does not allow to approve, because current {style} state is not 'StepPaused'"  # tools match them
    )
    return refuse(one, f"{words}: {_now(work, one, found)}")


def _now(work: Work, one: Named, found: JsonObject) -> str:
    """What the Rollout does instead of waiting; right after a change it may not have begun."""
    view = rollout_view(found)
    if view.phase == "Healthy" and not view.stalled and _is_about_to(work, one):
        command = f"kubectl kruise rollout status rollout/{view.name} -n {view.ns} --exit-on-pause"
        return f"the release has not begun yet; {command} ends when its first step waits"
    return instead_of_waiting(view)


def _is_about_to(work: Work, one: Named) -> bool:
    try:
        return is_held(work.session.get(workload_of(work.session, work.discovery, one).path))
    except (CommandError, Forbidden, NotFound):  # of a kind that is not served, hidden, or gone
        return False


def undo_fast(work: Work, one: Named) -> None:
    """Jumps back to the last step without traffic; the controller performs the jump."""
    if not is_rollout(one):
        raise refuse(one, "rollback is not supported on given object")
    found = work.session.get(one.path)
    view = rollout_view(found)
    if is_ending(view):
        raise refuse(one, "is not releasing anything, so there is no step to go back from; see rollout undo")
    if view.steps_total < view.step:
        raise refuse(one, f"has {view.steps_total} steps, but current step is too large {view.step}")
    if view.step <= 1:
        raise refuse(one, "already at the first step")
    best, most = 0, -1.0
    for number in range(view.step - 1, 0, -1):
        step = view.steps[number - 1]
        if step.traffic in ("", "0%") and not step.matches and (size := _size(step.replicas)) > most:
            best, most = number, size
    if not best:
        raise refuse(one, "no previous step with no traffic found")
    _change_step(work, one, found, {_part(view): {"nextStepIndex": best}}, "rolled back")


def jump(work: Work, one: Named, step: int) -> None:
    """Goes on with `step` (1-based) instead of the next one."""
    if not is_rollout(one):
        raise refuse_kind(work, one, "jumping", f"jump --to {step}")
    found = work.session.get(one.path)
    view = rollout_view(found)
    if is_ending(view) or not view.state:
        raise refuse(one, "is not releasing anything, so there is no step to jump from")
    if not 1 <= step <= view.steps_total:
        raise refuse(one, f"has the steps 1 to {view.steps_total}, so it cannot jump to {step}")
    if step == view.step:
        raise refuse(one, f"is at step {step} already")
    part = _part(view)
    sub: JsonObject = {"nextStepIndex": step}
    if step == view.step + 1:  # the next one anyway: the pause is all that keeps it back
        if view.state != "StepPaused":
            raise refuse(one, f"goes on with step {step} by itself{_when(view)}")
        sub["currentStepState"] = "StepReady"
    _change_step(work, one, found, {part: sub}, f"jumps to step {step}")


def _when(view: RolloutView) -> str:
    """When the next step comes; a step whose pods never become ready is not done by itself."""
    if view.state == "StepReady" and not view.paused and not view.stalled:
        return f": step {view.step} is approved already"
    now = f" when step {view.step} is done, which it is not: {instead_of_waiting(view)}"
    if view.paused or view.stalled:
        return now
    undo = f"kubectl kruise rollout undo rollout/{view.name} -n {view.ns}"
    return f"{now}. If it will never be, put the old version back with: {undo}"


def _part(view: RolloutView) -> str:
    return "blueGreenStatus" if view.strategy == "BlueGreen" else "canaryStatus"


def _change_step(work: Work, one: Named, found: JsonObject, status: JsonObject, word: str) -> None:
    """Writes the status of a Rollout that is still as it was in `found`. Raises CommandError."""
    body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "status": status}
    try:
        after = patch(work, one, body, subresource="status")
    except Conflict:
        raise refuse(one, "changed meanwhile; look at it and try again") from None
    except ApiError as error:
        raise refusal(f"failed to patch: {error.message}") from None
    work.printer.result(one.label, word, after)


def _size(replicas: str) -> float:
    digits = replicas.removesuffix("%")
    return float(digits) if digits.isdigit() else 0.0
