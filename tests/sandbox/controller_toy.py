"""A world of plain objects in which controllers decide in any order, with writes applied at once. No server, no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kruise_rollouts.kube.effects import Create, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.objects import DEPLOYMENT, POD, Kind
from kruise_rollouts.kube.patch import merge_patch
from kruise_rollouts.sandbox.controllers import facts
from kruise_rollouts.sandbox.controllers.deployment import Deployments
from kruise_rollouts.sandbox.controllers.replicaset import ReplicaSets
from kruise_rollouts.sandbox.controllers.world import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NS = "default"


class Toy:
    """Objects, and what happens to them."""

    def __init__(self) -> None:
        self.world = World()
        self.now = NOW
        self.notes: list[Note] = []
        self._serial = 0

    def put(self, kind: Kind, obj: JsonObject) -> JsonObject:
        """Stores a new or changed object."""
        self._serial += 1
        old = self.world.get(kind, NS, obj["metadata"]["name"])
        metadata = {"namespace": NS, "creationTimestamp": facts.stamp(self.now), **obj["metadata"]}
        metadata.setdefault("uid", f"uid-{self._serial}")
        metadata["resourceVersion"] = str(self._serial)
        changed = old is not None and old.get("spec") != obj.get("spec")
        metadata["generation"] = metadata.get("generation", 1) + changed
        stored = {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": metadata}
        group = kind.api_version.rpartition("/")[0]
        self.world.put((group, kind.kind), stored)
        return stored

    def apply(self, write: Write) -> None:
        kind = Kind(write.ref.api_version, write.ref.kind, "")
        old = self.world.get(kind, write.ref.ns, write.ref.name)
        match write:
            case Create(body=body):
                assert old is None, f"{write.ref} is there already"
                self.put(kind, {"status": {}, **body})
            case Patch(body=body):
                assert old is not None, f"{write.ref} is not there"
                self.put(kind, merge_patch(old, body))
            case Delete():
                assert old is not None, f"{write.ref} is not there"
                if kind.kind == "Pod":
                    leaving = {
                        "metadata": {
                            "deletionTimestamp": facts.stamp(self.now),
                            "deletionGracePeriodSeconds": 30,
                        }
                    }
                    self.put(kind, merge_patch(old, leaving))
                else:
                    self.world.remove((kind.api_version.rpartition("/")[0], kind.kind), old)

    def run(self, controller: Any, name: str, rounds: int = 1) -> None:
        """Lets `controller` decide `rounds` times, its status stored after each."""
        for _ in range(rounds):
            seen = _observe(controller, name, self.world, self.now)
            if seen is None:
                return
            decision = controller.decide(seen)
            for write in decision.writes:
                self.apply(write)
            self.notes += decision.notes
            fresh = _observe(controller, name, self.world, self.now)
            stored = controller.persist(fresh, decision.status) if fresh is not None else None
            if stored is not None:
                self.apply(stored)

    def pods(self) -> list[JsonObject]:
        return [p for p in self.world.list(POD, NS) if not facts.is_deleting(p)]

    def ready(self) -> int:
        return sum(is_ready(p) for p in self.pods())

    def make_ready(self, pod: JsonObject) -> None:
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": facts.stamp(self.now)}
        self.put(POD, merge_patch(pod, {"status": {"phase": "Running", "conditions": [condition]}}))

    def gone(self, pod: JsonObject) -> None:
        self.world.remove(("", "Pod"), pod)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def deployment(self) -> JsonObject:
        found = self.world.get(DEPLOYMENT, NS, "web")
        assert found is not None
        return found


def _observe(controller: Any, name: str, world: World, now: datetime) -> Any:
    """What the controller sees; it never really waits, so no event loop is needed."""
    try:
        controller.observe((NS, name), world, now, None).send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("observe has waited for something")


def is_ready(pod: JsonObject) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in facts.status(pod).get("conditions") or ()
    )


DEPLOYMENTS, REPLICA_SETS = Deployments(), ReplicaSets()
