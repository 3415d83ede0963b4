"""What a kubelet writes into the status of a pod: phase, container statuses, conditions, addresses.

The states themselves come from stages.py.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.controllers import conditions, facts

from .stages import NEVER, ContainerNow, ContainerRun, Knobs, PodRun, container_at, container_id, image_id


class PodNow(Struct, frozen=True):
    """The status to report, and when it changes next by itself (None: only an event changes it)."""

    status: JsonObject
    next_at: datetime | None


def pod_at(pod: JsonObject, run: PodRun, host_ip: str, knobs: Knobs, now: datetime) -> PodNow:
    """The status of a bound pod at `now`; other writers' conditions are kept."""
    old = facts.status(pod)
    blocked = _unpullable_init(pod, knobs)
    states = [_state(c, pod, knobs, now, blocked) for c in run.containers]
    ready = all(s.ready for s in states)
    phase = _phase(pod, states, blocked)
    unready = [c.name for c, s in zip(run.containers, states, strict=True) if not s.ready]
    status: JsonObject = {
        **old,
        "phase": phase,
        "conditions": _conditions(pod, phase, unready, blocked, now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": old.get("startTime") or facts.stamp(run.since),
        "containerStatuses": [_container(pod, c, s) for c, s in zip(run.containers, states, strict=True)],
    }
    ip = host_ip if facts.spec(pod).get("hostNetwork") else run.ip
    if any(s.running or s.exit_code is not None for s in states) or old.get("podIP"):
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    if facts.spec(pod).get("initContainers"):
        status["initContainerStatuses"] = _init_containers(pod, run, blocked)
    generation = facts.int_of(facts.meta(pod), "generation")
    if generation:
        status["observedGeneration"] = generation
    if ready or phase in ("Succeeded", "Failed"):
        status.pop("reason", None)
    dues = [
        c.since + timedelta(seconds=s.next_at)
        for c, s in zip(run.containers, states, strict=True)
        if s.next_at < NEVER
    ]
    return PodNow(status, min(dues, default=None))


def _unpullable_init(pod: JsonObject, knobs: Knobs) -> str:
    """Name of the first init container that never starts; "" if all run through."""
    for c in facts.spec(pod).get("initContainers") or ():
        if re.search(knobs.bad_images, c.get("image", "")):
            return str(c["name"])
    return ""


def _state(run: ContainerRun, pod: JsonObject, knobs: Knobs, now: datetime, blocked: str) -> ContainerNow:
    if blocked:
        return ContainerNow({"waiting": {"reason": "PodInitializing"}}, restarts=run.restarts, last=run.last)
    return container_at(run, pod, knobs, now)


def _phase(pod: JsonObject, states: list[ContainerNow], blocked: str) -> str:
    if blocked:
        return "Pending"
    codes = [s.exit_code for s in states]
    if states and all(code is not None for code in codes):
        return "Failed" if any(codes) else "Succeeded"
    if any("waiting" in s.state and not s.last for s in states):
        return "Pending"
    return "Running"


def _container(pod: JsonObject, run: ContainerRun, now: ContainerNow) -> JsonObject:
    started = now.running or bool(now.state.get("terminated"))
    status: JsonObject = {
        "name": run.name,
        "image": run.image,
        "imageID": image_id(run.image) if started else "",
        "ready": now.ready,
        "started": now.running,
        "restartCount": now.restarts,
        "state": now.state,
        "lastState": now.last,
    }
    if started:
        status["containerID"] = container_id(pod, run, now.restarts)
    return status


def _init_containers(pod: JsonObject, run: PodRun, blocked: str) -> list[JsonObject]:
    out: list[JsonObject] = []
    waiting = False
    at = facts.stamp(run.since)
    for c in facts.spec(pod)["initContainers"]:
        as_run = ContainerRun(c["name"], c.get("image", ""), run.since)
        sidecar = c.get("restartPolicy") == "Always"
        done = {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}
        if waiting or c["name"] == blocked:
            reason = "PodInitializing" if waiting else "ErrImagePull"
            waiting = True
            state = ContainerNow({"waiting": {"reason": reason}})
        elif sidecar:
            state = ContainerNow({"running": {"startedAt": at}}, running=True, ready=True)
        else:
            done["containerID"] = container_id(pod, as_run, 0)
            state = ContainerNow({"terminated": done}, ready=True, exit_code=0)
        out.append(_container(pod, as_run, state))
    return out


def _conditions(
    pod: JsonObject, phase: str, unready: list[str], blocked: str, now: datetime
) -> list[JsonObject]:
    found: list[JsonObject] = facts.status(pod).get("conditions") or []
    done = phase == "Succeeded"
    containers: tuple[str, str, str] = ("True", "", "")
    if done:
        containers = ("False", "PodCompleted", "")
    elif phase == "Failed":
        containers = ("False", "PodFailed", "")
    elif unready:
        containers = ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    gate = _closed_gates(pod, found)
    ready = ("False", "ReadinessGatesNotReady", gate) if gate and containers[0] == "True" else containers
    initialized = ("True", "PodCompleted" if done else "", "")
    if blocked:
        initialized = ("False", "ContainersNotInitialized", f"containers with incomplete status: [{blocked}]")
    wanted = {
        "PodReadyToStartContainers": ("False" if phase in ("Succeeded", "Failed") else "True", "", ""),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": containers,
        "PodScheduled": ("True", "", ""),
    }
    generation = facts.int_of(facts.meta(pod), "generation")
    mine = [_condition(conditions.find(found, k), k, values, generation, now) for k, values in wanted.items()]
    return mine + [c for c in found if c.get("type") not in wanted]


def _condition(
    old: JsonObject | None, kind: str, told: tuple[str, str, str], generation: int, now: datetime
) -> JsonObject:
    """`told`: status, reason, message."""
    status, reason, message = told
    same = old is not None and old.get("status") == status
    new: JsonObject = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if same and old else facts.stamp(now),
    }
    if generation:
        new["observedGeneration"] = generation
    if reason:
        new["reason"] = reason
    if message:
        new["message"] = message
    return new


def _closed_gates(pod: JsonObject, found: list[JsonObject]) -> str:
    """What the readiness gates still want; "" if they are all open."""
    closed = []
    for gate in facts.spec(pod).get("readinessGates") or ():
        kind = gate["conditionType"]
        condition = conditions.find(found, kind)
        if condition is None:
            closed.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif condition.get("status") != "True":
            closed.append(
                f'the status of pod readiness gate "{kind}" is not "True", but {condition.get("status")}'
            )
    return "; ".join(closed)
