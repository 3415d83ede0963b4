"""A stage for whole releases: a Rollout, its BatchRelease and the Deployment engine, on the native model.

The three controllers are the operator's own, run by the fold loop. What they read are caches that may lag behind the
truth; a crash can be planted after any write. The clock is virtual. Which of the things that could happen next does
happen is a seeded choice, so every run can be repeated.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from native_model import START, Native, native, read, template

from kruise_rollouts.api.apps import Deployment, LabelSelector, ReplicaSet
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout
from kruise_rollouts.core.admission import Attempt, hold_workload
from kruise_rollouts.core.revision import template_hash
from kruise_rollouts.core.snapshot import Gates
from kruise_rollouts.kube.effects import Create, Delete, Json, JsonObject, Note, Patch, Ref, Write
from kruise_rollouts.kube.errors import AlreadyExists, Conflict, NotFound
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, ROLLOUT
from kruise_rollouts.kube.patch import merge_patch
from kruise_rollouts.operator.batches import BatchController
from kruise_rollouts.operator.engine import DeploymentEngine
from kruise_rollouts.operator.rollouts import RolloutController
from kruise_rollouts.operator.world import BY_OWNER, BY_WORKLOAD, World
from kruise_rollouts.runtime.cache import Cache
from kruise_rollouts.runtime.controller import Key, fold

KEY: Key = ("demo", "web")
DEPLOYMENT_REF, ROLLOUT_REF, RELEASE_REF = (k.ref(*KEY) for k in (DEPLOYMENT, ROLLOUT, BATCH_RELEASE))
KINDS = ("Rollout", "BatchRelease", "Deployment", "ReplicaSet")
AnswerT = TypeVar("AnswerT")


class Crash(Exception):
    """The controller's process ends here."""


def run(work: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """Nothing on this stage waits, so no event loop is needed."""
    try:
        work.send(None)
    except StopIteration as done:
        answer: AnswerT = done.value
        return answer
    raise AssertionError("something waited")


class Stage:
    """`settle` until nothing can happen but the passing of time; `finish` until nothing can happen at all."""

    def __init__(
        self,
        replicas: int,
        steps: list[JsonObject],
        *,
        surge: int | str = "25%",
        unavailable: int | str = "25%",
        min_ready: int = 0,
        seed: int = 0,
        webhook: bool = True,
        gates: Gates | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.native: Native = native(replicas, surge, unavailable, min_ready=min_ready)
        self.min_ready = min_ready  # seconds, as the person applied it
        self.webhook = webhook
        self.lags = False  # True: changes reach the caches late and in any order
        self.slow = ""  # the kind that is heard of last, most of the time; "": each as late as the others
        self.pods_before: tuple[Pod, ...] = ()  # as they were when they were last listed from a cache
        self.ready_seconds: dict[int, float | None] = {}  # by version of the image; None: never ready
        self.labels: dict[str, dict[str, str]] = {}  # of pods
        self.objects: dict[Ref, JsonObject] = {}
        self.version = 1000
        self.deployment_gone = False
        self.late: set[str] = set()  # kinds whose truth has not reached the caches
        self.crash_in: int | None = None  # writes until the process ends
        self.writes: list[Write] = []
        self.pod_lists = 0
        self.notes: list[Note] = []
        self.interrupts: list[Callable[[Write], None]] = []  # called before each write is made
        self.checks: list[Callable[[Stage], None]] = []
        self.due: dict[str, datetime] = {}
        self.queue: list[str] = []
        self.controllers: dict[str, Json] = {
            "rollout": RolloutController(gates),
            "batch": BatchController(gates),
            "engine": DeploymentEngine(),
        }
        self._forget()
        if steps:
            self.create(ROLLOUT_REF, a_rollout(steps))
        self._publish()

    # --- caches ------------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Empty caches, as after a start."""
        self.world = World(
            rollouts=Cache(Rollout, {BY_WORKLOAD: _workload_of}),
            batch_releases=Cache(BatchRelease, {BY_WORKLOAD: _workload_of}),
            deployments=Cache(Deployment),
            replica_sets=Cache(ReplicaSet, {BY_OWNER: _owner_of}),
            list_pods=self._list_pods,
            refresh_rollout=self._refresh_rollout,
        )
        for cache, names in (
            (self.world.rollouts, ("rollout", "batch")),
            (self.world.batch_releases, ("rollout", "batch")),
            (self.world.deployments, ("rollout", "batch", "engine")),
            (self.world.replica_sets, ("rollout", "batch", "engine")),
        ):
            cache.subscribe(lambda _old, _new, names=names: self._wake(*names))  # type: ignore[misc]

    def _wake(self, *names: str) -> None:
        self.queue += [n for n in names if n not in self.queue]

    def _publish(self) -> None:
        """The truth reaches the caches, or will."""
        if self.lags:
            self.late |= set(KINDS)
        else:
            for kind in KINDS:
                self._deliver(kind)

    def _deliver(self, kind: str) -> None:
        self.late.discard(kind)
        if kind == "Deployment":
            if self.deployment_gone:
                self.world.deployments.remove(*KEY)
            else:
                self.world.deployments.put(self.native.seen_deployment())
        elif kind == "ReplicaSet":
            for replica_set in self.native.replica_sets.values():
                cached = self.world.replica_sets.get("demo", replica_set["metadata"]["name"])
                version = replica_set["metadata"]["resourceVersion"]
                if cached is None or cached.metadata.resource_version != version:
                    self.world.replica_sets.put(read(replica_set, ReplicaSet))
        else:
            self._deliver_ours(ROLLOUT_REF if kind == "Rollout" else RELEASE_REF)

    def _deliver_ours(self, ref: Ref) -> None:
        cache: Cache[Any] = self.world.rollouts if ref.kind == "Rollout" else self.world.batch_releases
        live = self.objects.get(ref)
        if live is None:
            cache.remove(ref.ns, ref.name)
        else:
            cached = cache.get(ref.ns, ref.name)
            if cached is None or cached.metadata.resource_version != live["metadata"]["resourceVersion"]:
                cache.put(msgspec.convert(live, cache.of))

    async def _list_pods(self, ns: str, selector: LabelSelector, *, cached: bool = False) -> tuple[Pod, ...]:
        self.pod_lists += 1
        now = tuple(
            msgspec.structs.replace(
                p,
                metadata=msgspec.structs.replace(
                    p.metadata, labels={**p.metadata.labels, **self.labels.get(p.metadata.name, {})}
                ),
            )
            for p in self.native.seen_pods()
        )
        if not cached:
            return now
        shown, self.pods_before = self.pods_before if self.lags else now, now
        return shown

    async def _refresh_rollout(self, ns: str, name: str) -> None:
        self._deliver_ours(ROLLOUT_REF)

    # --- the API server ------------------------------------------------------------------------------------------------

    def create(self, ref: Ref, body: JsonObject) -> None:
        if ref in self.objects:
            raise AlreadyExists(f"{ref} exists")
        self.version += 1
        meta = {
            "name": ref.name,
            "namespace": ref.ns,
            "uid": f"uid-{self.version}",
            "generation": 1,
            "resourceVersion": str(self.version),
            "creationTimestamp": self.now.isoformat(),
        }
        self.objects[ref] = {**copy.deepcopy(body), "metadata": {**body.get("metadata", {}), **meta}}

    def patch(self, ref: Ref, body: JsonObject, *, subresource: str = "", version: str = "") -> None:
        if ref not in self.objects:
            raise NotFound(f"{ref} not found")
        live = self.objects[ref]
        if version and live["metadata"]["resourceVersion"] != version:
            raise Conflict(f"{ref} has changed")
        part = {k: v for k, v in body.items() if (k == "status") == (subresource == "status")}
        new = merge_patch(live, part)
        if new == live:
            return
        self.version += 1
        meta = {**new["metadata"], "resourceVersion": str(self.version)}
        if new.get("spec") != live.get("spec"):
            meta["generation"] = meta["generation"] + 1
        self.objects[ref] = {**new, "metadata": meta}
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self._end(ref)

    def delete(self, ref: Ref) -> None:
        live = self.objects.get(ref)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return
        if not live["metadata"].get("finalizers"):
            self._end(ref)
            return
        self.version += 1
        meta = {"deletionTimestamp": self.now.isoformat(), "resourceVersion": str(self.version)}
        self.objects[ref] = {**live, "metadata": {**live["metadata"], **meta}}

    def _end(self, ref: Ref) -> None:
        gone = self.objects.pop(ref)
        for other, obj in list(self.objects.items()):
            if any(o["uid"] == gone["metadata"]["uid"] for o in obj["metadata"].get("ownerReferences", ())):
                self.delete(other)

    async def _apply(self, write: Write) -> JsonObject | None:
        if self.crash_in is not None:
            if self.crash_in == 0:
                raise Crash
            self.crash_in -= 1
        for interrupt in self.interrupts:
            interrupt(write)
        self.writes.append(write)
        try:
            self._perform(write)
        finally:
            self._deliver_after(write.ref)
        for check in self.checks:
            check(self)
        return None

    def _perform(self, write: Write) -> None:
        ref = write.ref
        if ref.kind in ("Deployment", "ReplicaSet"):
            if self.deployment_gone and ref.kind == "Deployment":
                raise NotFound(f"{ref} not found")
            self.native.apply(write)
        elif ref.kind == "Pod":
            assert isinstance(write, Patch)
            self.labels.setdefault(ref.name, {}).update(write.body["metadata"]["labels"])
        elif isinstance(write, Create):
            if ref in self.objects:  # the runtime takes it for done if the owner is the same
                owners = [o["metadata"].get("ownerReferences") for o in (self.objects[ref], write.body)]
                assert owners[0] == owners[1], "AlreadyExists"
            else:
                self.create(ref, write.body)
        elif isinstance(write, Patch):
            self.patch(ref, write.body, subresource=write.subresource, version=write.resource_version)
        elif isinstance(write, Delete):
            live = self.objects.get(ref)
            if live is not None and write.uid in ("", live["metadata"]["uid"]):
                self.delete(ref)

    def _deliver_after(self, ref: Ref) -> None:
        """What the runtime does with an answer, and with the object behind a Conflict: it is known at once."""
        if ref.kind in ("Rollout", "BatchRelease"):
            self._deliver_ours(ref)
        elif ref.kind in ("Deployment", "ReplicaSet"):
            self._deliver(ref.kind)
        self._publish()

    # --- admission ----------------------------------------------------------------------------------------------------

    def _admitted(self, body: JsonObject) -> JsonObject:
        """A person's merge patch of the Deployment, with what our admission adds to it."""
        if not self.webhook:
            return body
        rollout = self.objects.get(ROLLOUT_REF)
        attempt = Attempt(
            new=read(merge_patch(self.native.deployment, body), Deployment),
            old=self.native.seen_deployment(),
            rollouts=() if rollout is None else (msgspec.convert(rollout, Rollout),),
            replica_sets=self.native.seen_replica_sets(),
        )
        return _joined(body, hold_workload(attempt).body)

    # --- people -------------------------------------------------------------------------------------------------------

    def act(self, change: Callable[[], None]) -> None:
        """A person's request."""
        change()
        self._publish()

    def set_image(self, version: int) -> None:
        self.act(lambda: self._edit_deployment({"spec": {"template": template(version)}}))

    def scale(self, replicas: int) -> None:
        self.act(lambda: self._edit_deployment({"spec": {"replicas": replicas}}))

    def resume_by_hand(self) -> None:
        self.act(lambda: self._edit_deployment({"spec": {"paused": False}}))

    def _edit_deployment(self, body: JsonObject) -> None:
        if not self.deployment_gone:
            self.native.apply(Patch(DEPLOYMENT_REF, self._admitted(body)))

    def edit_rollout(self, spec: JsonObject) -> None:
        if ROLLOUT_REF in self.objects:
            self.act(lambda: self.patch(ROLLOUT_REF, {"spec": spec}))

    def edit_status(self, sub: JsonObject) -> None:
        rollout = self.objects.get(ROLLOUT_REF)
        if rollout is not None and rollout.get("status", {}).get("canaryStatus"):
            self.act(lambda: self.patch(ROLLOUT_REF, {"status": {"canaryStatus": sub}}, subresource="status"))

    def approve(self) -> None:
        self.edit_status({"currentStepState": "StepReady"})

    def delete_rollout(self) -> None:
        self.act(lambda: self.delete(ROLLOUT_REF))

    # --- running ------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.native.clock

    def revision_of(self, image: str) -> str:
        """The revision that the controllers know `image` by."""
        return template_hash(read(template(int(image.rpartition(":")[2])), Raw))

    @property
    def status(self) -> JsonObject:
        found: JsonObject = self.objects[ROLLOUT_REF].get("status", {})
        return found

    @property
    def sub(self) -> JsonObject:
        found: JsonObject = self.status.get("canaryStatus") or {}
        return found

    def reconcile(self, name: str) -> None:
        """One fold of one controller, retried on Conflict, lost on a crash."""
        try:
            for _ in range(6):
                try:
                    wake = run(
                        fold(
                            self.controllers[name],
                            KEY,
                            self.world,
                            apply=self._apply,
                            tell=self.notes.append,
                            clock=_Clock(self),
                        )
                    )
                except (Conflict, NotFound):
                    continue
                if wake is not None:
                    self.due[name] = (
                        min(wake, self.due.get(name, wake)) if self.due.get(name, wake) > self.now else wake
                    )
                return
            raise AssertionError(f"{name}: conflicts without end")
        except Crash:
            self.crash_in = None
            self._forget()
            for kind in KINDS:  # a controller begins with whole caches
                self._deliver(kind)
            self.due.clear()
            self._wake("rollout", "batch", "engine")

    def step(self) -> bool:
        """One of the things that can happen now, by chance; False if there is none."""
        options = [*self.queue, *sorted(self.late)]
        if self.slow in self.late and self.chance.random() < 0.9:
            options.remove(self.slow)
        if options:
            choice = self.chance.choice(options)
            if choice in self.late:
                self._deliver(choice)
            else:
                self.queue.remove(choice)
                self.reconcile(choice)
            if self.chance.random() < 0.5:
                self._native()
            return True
        if self._native():
            return True
        if self.late:
            self._deliver(self.slow)
            return True
        return False

    def _native(self) -> bool:
        before = self.native.version
        if not self.deployment_gone:
            self.native.sync()
        self.native.sync_replica_sets()
        if self.native.version == before:
            return False
        self._publish()
        for check in self.checks:
            check(self)
        return True

    def settle(self, limit: int = 3000) -> None:
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError(f"never rests: {self.status}")

    def pass_time(self) -> bool:
        """To the next moment at which something happens by itself; False if nothing will."""
        starting = [p for p in self.native.pods.values() if p.ready_since is None]
        seconds = [s for p in starting if (s := self._delay(p.owner)) is not None]
        times = [START + timedelta(seconds=self.native.now + s) for s in seconds]
        times += [t for t in self.due.values() if t > self.now]
        waits = (
            p.ready_since + self.min_ready for p in self.native.pods.values() if p.ready_since is not None
        )
        times += [START + timedelta(seconds=t) for t in waits if t > self.native.now]
        if not times:
            return False
        self.native.now = max(self.native.now, (min(times) - START).total_seconds())
        for pod in starting:
            if self._delay(pod.owner) is not None and self.chance.random() < 0.8:
                pod.ready_since = self.native.now
        for name, time in list(self.due.items()):
            if time <= self.now:
                del self.due[name]
                self._wake(name)
        return True

    def _delay(self, replica_set: str) -> float | None:
        image = self.native.replica_sets[replica_set]["spec"]["template"]["spec"]["containers"][0]["image"]
        return self.ready_seconds.get(int(image.rpartition(":")[2]), 2.0)

    def finish(self, *, until: Callable[[Stage], bool] | None = None, limit: int = 400) -> None:
        """Runs on until nothing will happen by itself, or `until` holds."""
        for _ in range(limit):
            self.settle()
            if until is not None and until(self):
                return
            if not self.pass_time():
                return
        raise AssertionError(f"never ends: {self.status}")


class _Clock:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def now(self) -> datetime:
        return self._stage.now

    def mono(self) -> float:
        return self._stage.native.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


def _joined(one: JsonObject, other: JsonObject) -> JsonObject:
    """Both merge patches in one; nulls of both are kept."""
    out = dict(one)
    for key, value in other.items():
        out[key] = (
            _joined(one[key], value) if isinstance(value, dict) and isinstance(one.get(key), dict) else value
        )
    return out


def a_step(replicas: int | str, duration: int | None = None) -> JsonObject:
    return {"replicas": replicas, "pause": {} if duration is None else {"duration": duration}}


def a_rollout(steps: list[JsonObject]) -> JsonObject:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {"spec": {"workloadRef": ref, "strategy": {"canary": {"steps": steps}}}}


def _workload_of(obj: Any) -> list[tuple[str, str, str, str]]:
    ref = obj.spec.workload_ref
    return [(obj.metadata.namespace, ref.group, ref.kind, ref.name)]


def _owner_of(obj: ReplicaSet) -> list[str]:
    return [obj.metadata.controller.uid] if obj.metadata.controller is not None else []
