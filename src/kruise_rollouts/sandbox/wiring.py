"""Which controllers the sandbox runs, and what wakes each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kruise_rollouts.kube.effects import Create, JsonObject, Note, Write
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    STATEFUL_SET,
    Kind,
)
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.controllers import facts
from kruise_rollouts.sandbox.controllers.autoscaler import AUTOSCALER, Autoscalers, scalers_of
from kruise_rollouts.sandbox.controllers.cronjob import CRON_JOB, CronJobs
from kruise_rollouts.sandbox.controllers.daemonset import DaemonSets
from kruise_rollouts.sandbox.controllers.deployment import Deployments
from kruise_rollouts.sandbox.controllers.disruption import BUDGET, Disruptions, budgets_in, budgets_of
from kruise_rollouts.sandbox.controllers.endpoints import (
    ENDPOINTS,
    SLICE,
    EndpointControl,
    service_of_slice,
    services_of,
)
from kruise_rollouts.sandbox.controllers.feeds import (
    Feed,
    controller_of,
    controllers_controller,
    everything,
    itself,
    key_of,
    when_gone,
)
from kruise_rollouts.sandbox.controllers.garbage import GarbageCollector, concerned
from kruise_rollouts.sandbox.controllers.job import JOB, Jobs
from kruise_rollouts.sandbox.controllers.mirroring import Mirrors, endpoints_of
from kruise_rollouts.sandbox.controllers.namespace import Namespaces, of_contents
from kruise_rollouts.sandbox.controllers.nodes import NodeLifecycle
from kruise_rollouts.sandbox.controllers.protection import CLAIM, VOLUME, Protection, claims_of_pod
from kruise_rollouts.sandbox.controllers.replicaset import REPLICATION_CONTROLLER, ReplicaSets
from kruise_rollouts.sandbox.controllers.replicaset import refused as pod_refused
from kruise_rollouts.sandbox.controllers.statefulset import StatefulSets
from kruise_rollouts.sandbox.controllers.statefulset import refused as stateful_refused
from kruise_rollouts.sandbox.controllers.world import Id, World, id_of
from kruise_rollouts.sandbox.nodes.kubelet import Kubelet, Nodes, is_down
from kruise_rollouts.sandbox.nodes.scheduler import Scheduler

from .request import User
from .runner import Wiring

CALM = 100  # pods; the controller of more waits a moment for further changes
SECONDS_PER_POD = 2e-5
NAMESPACE_SECONDS = 0.05  # between two looks at what is left in a namespace that goes away
_NODE_USER = User("system:node", groups=("system:nodes", "system:masters", "system:authenticated"))
_SCHEDULER_USER = User("system:kube-scheduler", groups=("system:masters", "system:authenticated"))


def wirings(nodes: Nodes, *, root_ca: str = "") -> tuple[Wiring, ...]:
    """All of them, workloads first. `root_ca`: PEM, published in every namespace; "" for none."""
    return (
        _deployments(),
        _replica_sets(REPLICA_SET),
        _replica_sets(REPLICATION_CONTROLLER),
        _stateful_sets(),
        _daemon_sets(),
        Wiring(Jobs(), {id_of(JOB): itself, id_of(POD): controller_of(JOB)}, refused=_pod_refused(JOB)),
        Wiring(CronJobs(), {id_of(CRON_JOB): itself, id_of(JOB): controller_of(CRON_JOB)}),
        Wiring(GarbageCollector(), {}, any_kind=concerned, keys_per_turn=16),
        _namespaces(root_ca),
        _endpoints(),
        Wiring(Mirrors(), {id_of(SERVICE): itself, id_of(ENDPOINTS): itself, id_of(SLICE): endpoints_of}),
        _disruptions(),
        Wiring(NodeLifecycle(), {id_of(NODE): itself, id_of(POD): _on_dead_node}),
        Wiring(Autoscalers(), {id_of(AUTOSCALER): itself}, any_kind=scalers_of),
        Wiring(Protection(CLAIM), {id_of(CLAIM): itself, id_of(POD): claims_of_pod}),
        Wiring(Protection(VOLUME), {id_of(VOLUME): itself}),
        _scheduler(),
        _kubelet(nodes),
    )


def _endpoints() -> Wiring:
    def pause(world: World, key: Key) -> float:
        pods = sum(1 for _ in world.list(POD, key[0]))
        return pods * SECONDS_PER_POD if pods > CALM else 0.0

    feeds = {
        id_of(SERVICE): itself,
        id_of(POD): services_of,
        id_of(ENDPOINTS): service_of_slice,
        id_of(SLICE): service_of_slice,
    }
    return Wiring(EndpointControl(), feeds, pause=pause)


def _disruptions() -> Wiring:
    resized = {id_of(kind): budgets_in for kind in (DEPLOYMENT, REPLICA_SET, STATEFUL_SET)}
    return Wiring(Disruptions(), {id_of(BUDGET): itself, id_of(POD): budgets_of, **resized})


def _on_dead_node(world: World, old: JsonObject | None, new: JsonObject | None) -> tuple[Key, ...]:
    """The pod's node, if the pod has come to it after its kubelet died."""
    name = str(facts.spec(new).get("nodeName") or "") if new is not None and old is None else ""
    node = world.get(NODE, "", name) if name else None
    return (("", name),) if node is not None and is_down(node) else ()


def _namespaces(root_ca: str) -> Wiring:
    def pause(world: World, key: Key) -> float:
        namespace = world.get(NAMESPACE, *key)
        return NAMESPACE_SECONDS if namespace is not None and facts.is_deleting(namespace) else 0.0

    return Wiring(Namespaces(root_ca), {id_of(NAMESPACE): itself}, any_kind=of_contents, pause=pause)


def _deployments() -> Wiring:
    def refused(world: World, key: Key, write: Write, error: ApiError) -> Note | None:
        if not isinstance(write, Create):
            return None
        message = f'Failed to create new replica set "{write.ref.name}": {error.message}'
        return Note(DEPLOYMENT.ref(*key), "ReplicaSetCreateError", message, "Warning")

    return Wiring(
        Deployments(),
        {
            id_of(DEPLOYMENT): itself,
            id_of(REPLICA_SET): controller_of(DEPLOYMENT),
            id_of(POD): when_gone(
                controllers_controller(DEPLOYMENT, REPLICA_SET)
            ),  # Recreate waits for the last
        },
        refused=refused,
    )


def _replica_sets(kind: Kind) -> Wiring:
    return Wiring(
        ReplicaSets(kind),
        {id_of(kind): itself, id_of(POD): controller_of(kind)},
        pause=_calm(kind),
        refused=_pod_refused(kind),
    )


def _stateful_sets() -> Wiring:
    feeds = {
        id_of(STATEFUL_SET): itself,
        id_of(POD): controller_of(STATEFUL_SET),
        id_of(CONTROLLER_REVISION): controller_of(STATEFUL_SET),
    }
    return Wiring(StatefulSets(), feeds, pause=_calm(STATEFUL_SET), refused=stateful_refused)


def _daemon_sets() -> Wiring:
    def changed(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterable[Key]:
        if old is not None and new is not None and _same_room(old, new):
            return ()
        return everywhere(world, old, new)

    everywhere = everything(DAEMON_SET)
    feeds: dict[Id, Feed] = {
        id_of(DAEMON_SET): itself,
        id_of(POD): controller_of(DAEMON_SET),
        id_of(CONTROLLER_REVISION): controller_of(DAEMON_SET),
        id_of(NODE): changed,
    }
    return Wiring(DaemonSets(), feeds, pause=_calm(DAEMON_SET), refused=_pod_refused(DAEMON_SET))


def _calm(kind: Kind) -> Callable[[World, Key], float]:
    """Many pods report one by one: counting all of them again for each would be quadratic."""

    def pause(world: World, key: Key) -> float:
        owner = world.get(kind, *key)
        pods = len(world.pods(facts.uid(owner))) if owner is not None else 0
        return pods * SECONDS_PER_POD if pods > CALM else 0.0

    return pause


def _pod_refused(kind: Kind) -> Callable[[World, Key, Write, ApiError], Note | None]:
    def refused(world: World, key: Key, write: Write, error: ApiError) -> Note | None:
        return pod_refused(kind.ref(*key), write, error)

    return refused


def _scheduler() -> Wiring:
    def unbound(world: World, old: JsonObject | None, new: JsonObject | None) -> tuple[Key, ...]:
        if new is not None:
            return () if facts.spec(new).get("nodeName") else (key_of(new),)
        if old is None or not facts.spec(old).get("nodeName"):
            return ()
        return tuple(key_of(p.raw) for p in world.pods_on("").values())  # there is room for one more

    def waiting(world: World, old: JsonObject | None, new: JsonObject | None) -> tuple[Key, ...]:
        if old is not None and new is not None and _same_room(old, new):
            return ()
        return tuple(key_of(p.raw) for p in world.pods_on("").values())

    return Wiring(
        Scheduler(),
        {id_of(POD): unbound, id_of(NODE): waiting},
        keys_per_turn=32,
        user=_SCHEDULER_USER,
        manager="kube-scheduler",
    )


def _same_room(old: JsonObject, new: JsonObject) -> bool:
    """Whether a node takes the same pods as before."""
    return (
        facts.spec(old) == facts.spec(new)
        and facts.labels_of(old) == facts.labels_of(new)
        and facts.status(old).get("allocatable") == facts.status(new).get("allocatable")
    )


def _kubelet(nodes: Nodes) -> Wiring:
    def bound(world: World, old: JsonObject | None, new: JsonObject | None) -> tuple[Key, ...]:
        if new is None:
            if old is not None:
                nodes.gone(facts.uid(old))
            return ()
        if not facts.spec(new).get("nodeName"):
            return ()
        if old is not None and not _concerns_kubelet(old, new):
            return ()
        return (key_of(new),)

    def revived(world: World, old: JsonObject | None, new: JsonObject | None) -> tuple[Key, ...]:
        node = new if new is not None else old
        if node is None or (
            old is not None and new is not None and facts.annotations_of(old) == facts.annotations_of(new)
        ):
            return ()
        return tuple(key_of(p.raw) for p in world.pods_on(facts.name(node)).values())

    return Wiring(
        Kubelet(nodes),
        {id_of(POD): bound, id_of(NODE): revived},
        keys_per_turn=32,
        user=_NODE_USER,
        manager="kubelet",
    )


def _concerns_kubelet(old: JsonObject, new: JsonObject) -> bool:
    """Whether the change is one a kubelet acts on; its own status writes are not, unless a gate may have opened."""
    was, now = facts.meta(old), facts.meta(new)
    return (
        was.get("generation") != now.get("generation")
        or was.get("deletionTimestamp") != now.get("deletionTimestamp")
        or was.get("annotations") != now.get("annotations")
        or facts.spec(old).get("nodeName") != facts.spec(new).get("nodeName")
        or bool(facts.spec(new).get("readinessGates"))
    )
