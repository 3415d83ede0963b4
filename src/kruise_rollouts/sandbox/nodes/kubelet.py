"""The kubelets: run the pods bound to the simulated nodes, and take away those that are to stop.

One key per pod. What a real node would remember (when it saw the pod, which IP it gave it) is in `Nodes`, outside
the objects, like a container runtime. The stages of a pod's life are in stages.py; which node a pod gets is the
scheduler's.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.objects import NODE, POD
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.controllers import facts
from kruise_rollouts.sandbox.controllers.nodes import DOWN
from kruise_rollouts.sandbox.controllers.world import World

from .pod_status import pod_at
from .stages import NEVER, TERMINATE_DELAY, Knobs, PodRun, advance, delay_of

NODE_NETWORK = ipaddress.ip_address("172.31.0.10")
POD_NETWORK = ipaddress.ip_address("10.128.0.2")
MAX_PODS = 10_000  # per node
MAX_IPS = 1 << 22  # of pods, from the first on
CROWD = 200  # pods starting at once
DEFAULT_GRACE_SECONDS = 30
LEASE_SECONDS = 40
KUBELET_VERSION = "v1.36.2"


class Nodes:
    """The simulated nodes: which ones there are, and what runs on them now."""

    def __init__(self, names: tuple[str, ...], knobs: Knobs | None = None) -> None:
        self.names = names
        self.knobs = knobs or Knobs()
        self._address = {n: str(NODE_NETWORK + i) for i, n in enumerate(names)}
        self._runs: dict[str, PodRun] = {}  # by pod uid
        self._next_ip = int(POD_NETWORK)
        self._free_ips: list[str] = []
        self._starting: set[str] = set()  # uids of pods that have not been reported running yet

    def address(self, node: str) -> str:
        """IP of a node; that of any other node is made up."""
        return self._address.get(node, str(NODE_NETWORK + 200))

    def seen(self, pod: JsonObject, now: datetime) -> PodRun:
        """What the pod's node knows of it, this version included."""
        uid = facts.uid(pod)
        old = self._runs.get(uid)
        ip = old.ip if old is not None else facts.status(pod).get("podIP") or self._new_ip()
        run = advance(old, pod, ip, now)
        self._runs[uid] = run
        if old is None:
            self._starting.add(uid)
        elif uid in self._starting and facts.status(pod).get("phase") != "Pending":
            self._starting.discard(uid)
        return run

    @property
    def crowded(self) -> bool:
        """So many pods start now that their kubelets skip what will be out of date at once."""
        return len(self._starting) > CROWD

    def reserve(self, ip: str) -> None:
        """A pod from before this process has this IP."""
        try:
            taken = int(ipaddress.IPv4Address(ip))
        except ValueError:
            return
        if int(POD_NETWORK) < taken < int(POD_NETWORK) + MAX_IPS:
            self._next_ip = max(self._next_ip, taken)

    def gone(self, uid: str) -> None:
        """The pod is no more: its IP can be used again."""
        self._starting.discard(uid)
        run = self._runs.pop(uid, None)
        if run is not None:
            self._free_ips.append(run.ip)

    def _new_ip(self) -> str:
        if len(self._free_ips) > 1024:  # the longest unused first, so that an IP does not come back at once
            return self._free_ips.pop(0)
        self._next_ip += 1
        return str(ipaddress.ip_address(self._next_ip))


class PodSeen(Struct, frozen=True):
    pod: JsonObject  # with the status stored, or decided earlier in this fold
    stored: JsonObject  # status
    run: PodRun
    host_ip: str
    knobs: Knobs
    crowded: bool
    now: datetime


class Kubelet:
    """All kubelets in one."""

    name = "kubelet"

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> PodSeen | None:
        pod = world.get(POD, *key)
        node_name = facts.spec(pod).get("nodeName") if pod is not None else None
        if pod is None or not node_name:
            return None
        node = world.get(NODE, "", node_name)
        if node is None or is_down(node):
            return None
        run = self._nodes.seen(pod, now)
        stored = facts.status(pod)
        if pending is not None:
            pod = {**pod, "status": pending}
        nodes = self._nodes
        return PodSeen(pod, stored, run, nodes.address(node_name), nodes.knobs, nodes.crowded, now)

    def decide(self, seen: PodSeen) -> Decision[JsonObject]:
        return decide_pod(seen)

    def persist(self, seen: PodSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(seen.stored, status)
        return Patch(facts.ref_of(POD, seen.pod), {"status": patch}, "status") if patch else None


def is_down(node: JsonObject) -> bool:
    """Whether its kubelet is dead."""
    return facts.annotations_of(node).get(DOWN) == "true"


def decide_pod(seen: PodSeen) -> Decision[JsonObject]:
    """The status a pod has by now, or its end."""
    pod, status = seen.pod, facts.status(seen.pod)
    if facts.is_deleting(pod):
        return _stop(seen)
    if status.get("phase") in ("Succeeded", "Failed"):
        return Decision(status)
    now = pod_at(pod, seen.run, seen.host_ip, seen.knobs, seen.now)
    if seen.crowded and _is_creating(now.status):
        return Decision(status, wake_at=now.next_at)
    return Decision(now.status, wake_at=now.next_at, notes=_told(pod, status, now.status))


def _is_creating(status: JsonObject) -> bool:
    """Nothing to report yet but that containers are being created."""
    states = [c["state"].get("waiting") or {} for c in status.get("containerStatuses") or ()]
    return all(s.get("reason") == "ContainerCreating" for s in states)


def _stop(seen: PodSeen) -> Decision[JsonObject]:
    """Removes the pod once it has had its time to stop; somebody's finalizer may still keep it."""
    pod, meta, status = seen.pod, facts.meta(seen.pod), facts.status(seen.pod)
    grace = facts.int_of(meta, "deletionGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    if grace == 0:
        return Decision(status)
    wanted = delay_of(facts.annotations_of(pod).get(TERMINATE_DELAY), seen.knobs.terminate_delay)
    deadline = facts.time_at(meta["deletionTimestamp"]) or seen.now  # already with the grace period in it
    asked = deadline - timedelta(seconds=grace)
    due = deadline if wanted == NEVER else min(deadline, asked + timedelta(seconds=wanted))
    if due > seen.now:
        return Decision(status, wake_at=due)
    return Decision(status, (Delete(facts.ref_of(POD, pod), uid=facts.uid(pod), grace_seconds=0),))


def _told(pod: JsonObject, old: JsonObject, new: JsonObject) -> tuple[Note, ...]:
    """Events for containers that were started, could not be pulled, or crash."""
    me = facts.ref_of(POD, pod)
    before = {c["name"]: c for c in old.get("containerStatuses") or ()}
    notes: list[Note] = []
    for c in new.get("containerStatuses") or ():
        was = before.get(c["name"], {})
        state, old_state = c["state"], was.get("state") or {}
        if "running" in state and state != old_state:
            image = c["image"]
            notes += [
                Note(me, "Pulled", f'Container image "{image}" already present on machine'),
                Note(me, "Created", f"Container created: {c['name']}"),
                Note(me, "Started", f"Container started: {c['name']}"),
            ]
        reason = (state.get("waiting") or {}).get("reason", "")
        if reason == (old_state.get("waiting") or {}).get("reason", ""):
            continue
        message = (state.get("waiting") or {}).get("message", "")
        if reason == "ErrImagePull":
            notes.append(Note(me, "Failed", f'Failed to pull image "{c["image"]}": {message}', "Warning"))
        elif reason == "ImagePullBackOff":
            notes.append(Note(me, "BackOff", message))
        elif reason == "CrashLoopBackOff":
            notes.append(
                Note(me, "BackOff", message.replace("back-off", "Back-off restarting", 1), "Warning")
            )
    return tuple(notes)


def node_body(name: str, address: str, now: datetime) -> JsonObject:
    """A Node as its kubelet registers it."""
    resources = {"cpu": "256", "memory": "1Ti", "pods": str(MAX_PODS), "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/arch": "amd64",
            },
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": node_conditions(now),
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": name,
                "systemUUID": name,
                "bootID": name,
                "kernelVersion": "6.1.0",
                "osImage": "Simulated Linux",
                "containerRuntimeVersion": "containerd://2.0.0",
                "kubeletVersion": KUBELET_VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def node_lease(name: str, uid: str, now: datetime) -> JsonObject:
    """The Lease of a node. It is taken once: a simulated kubelet is dead when its node says so, not when it is silent."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    renewed = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed},
    }


def node_conditions(now: datetime) -> list[JsonObject]:
    """What a healthy node reports."""
    at = facts.stamp(now)
    told = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": at,
            "lastTransitionTime": at,
        }
        for kind, status, reason, message in told
    ]


def register(nodes: Nodes, now: datetime) -> tuple[Create, ...]:
    """The writes with which the nodes join."""
    return tuple(Create(NODE.ref("", n), node_body(n, nodes.address(n), now)) for n in nodes.names)
