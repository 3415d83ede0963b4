"""How far a release is, in one line, and whether it is over: what `rollout status` prints and exits with."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

from .rollout import RolloutView, rollout_view

Outcome = Literal["waiting", "done", "failed"]


class Progress(Struct, frozen=True):
    line: str  # for people; repeated only when it changes
    outcome: Outcome
    needs_person: bool = False  # nothing moves until somebody approves the step or resumes the Rollout


def rollout_progress(obj: JsonObject) -> Progress:
    """Progress of a Rollout object, either version."""
    r = rollout_view(obj)
    name = f'rollout "{r.name}"'
    if not r.observed:
        return Progress(f"Waiting for {name} spec update to be observed...", "waiting")
    if r.stalled:
        return Progress(f"error: {name} stands still: {r.stalled}", "failed")
    match r.phase:
        case "Healthy" if r.succeeded == "False":
            return Progress(f"error: {name} was rolled back: {r.message}", "failed")
        case "Healthy":
            return Progress(f"{name} successfully rolled out", "done")
        case "Disabled":
            return Progress(f"{name} is disabled: its workload is not managed", "done")
        case "Terminating":
            return Progress(f"Waiting for {name} to be deleted: {r.message}", "waiting")
        case "Disabling":
            return Progress(f"Waiting for {name} to be disabled: {r.message}", "waiting")
        case "Progressing":
            return _progressing(r, name)
        case _:
            return Progress(
                f"Waiting for {name} to be initialised: {r.message or 'not seen by the controller yet'}",
                "waiting",
            )


def _progressing(r: RolloutView, name: str) -> Progress:
    where = f"Waiting for {name} to finish: step {r.step}/{r.steps_total}"
    if r.paused:
        told = f"{where} is paused by spec.strategy.paused; {_resume(r)}"
        return Progress(told, "waiting", needs_person=True)
    what = f"{where} {r.state}" + (f": {r.message}" if r.message else "")
    return Progress(what, "waiting", needs_person=r.state == "StepPaused" and _asks(r))


def _resume(r: RolloutView) -> str:
    return f"resume it with: kubectl kruise rollout resume rollout/{r.name} -n {r.ns}"


def is_ending(r: RolloutView) -> bool:
    """Whether no step comes any more: the release is over, or being finished or taken back."""
    return r.phase != "Progressing" or r.progressing in ("Finalising", "Cancelling", "Completed")


def instead_of_waiting(r: RolloutView) -> str:
    """What a Rollout that waits for no approval does, and what a person may do about it, in one line."""
    if r.stalled:
        return f"it stands still: {r.stalled}"
    if r.phase != "Progressing":
        return f"nothing is being released, the Rollout is {r.phase or 'not seen by the controller yet'}"
    if is_ending(r):
        return f"the release is ending ({r.progressing})" + (f": {r.message}" if r.message else "")
    if r.paused:
        return f"the Rollout is paused: {_resume(r)}"
    if r.state == "StepReady":
        return f"step {r.step} is approved already"
    return f"step {r.step} is still working ({r.state})" + (f": {r.message}" if r.message else "")


def _asks(r: RolloutView) -> bool:
    """Whether the present step is gone on from by approval; step 0 is where a held release has not begun."""
    return r.step == 0 or (r.step <= r.steps_total and r.steps[r.step - 1].pause == "until approved")


def deployment_progress(obj: JsonObject, revision: int = 0) -> Progress:
    """Progress of a Deployment; `revision` not 0: another running revision is a failure."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    name = f'deployment "{meta["name"]}"'
    running = int((meta.get("annotations") or {}).get("deployment.kubernetes.io/revision", 0))
    if revision and running != revision:
        return Progress(
            f"error: desired revision ({revision}) is different from the running revision ({running})",
            "failed",
        )
    if int(status.get("observedGeneration", 0)) < int(meta.get("generation", 0)):
        return Progress("Waiting for deployment spec update to be observed...", "waiting")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Progress(f"error: {name} exceeded its progress deadline", "failed")
    wanted, updated = int(spec.get("replicas", 1)), int(status.get("updatedReplicas", 0))
    total, available = int(status.get("replicas", 0)), int(status.get("availableReplicas", 0))
    waiting = f"Waiting for {name} rollout to finish: "
    if updated < wanted:
        held = _holder(meta)
        return Progress(
            f"{waiting}{updated} out of {wanted} new replicas have been updated...{held}", "waiting"
        )
    if total > updated:
        return Progress(f"{waiting}{total - updated} old replicas are pending termination...", "waiting")
    if available < updated:
        return Progress(f"{waiting}{available} of {updated} updated replicas are available...", "waiting")
    return Progress(f"{name} successfully rolled out", "done")


def _holder(meta: JsonObject) -> str:
    """Says that a Rollout releases this Deployment in steps, so that nobody waits for nothing."""
    held = "rollouts.kruise.io/in-progressing" in (meta.get("annotations") or {})
    return " (released in steps by a Rollout; see: kubectl get rollout)" if held else ""
