"""A Kubernetes in this process: server, custom resources, admission, controllers and kubelets, put together.

It takes no decision of its own. `start` returns once the built-in namespaces and nodes are there; what controllers
do after that happens on the event loop.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import AlreadyExists
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.sandbox import own_service
from kruise_rollouts.sandbox.access.access import ADMIN, Access, create_default_roles
from kruise_rollouts.sandbox.access.reviews import Reviews
from kruise_rollouts.sandbox.access.tokens import open_id
from kruise_rollouts.sandbox.admission.admission import Admission
from kruise_rollouts.sandbox.admission.callers import Caller
from kruise_rollouts.sandbox.admission.plugins import system_classes
from kruise_rollouts.sandbox.admission.quota_status import QuotaStatus
from kruise_rollouts.sandbox.custom.crd import CustomResources
from kruise_rollouts.sandbox.custom.crd_cleanup import CrdCleanup
from kruise_rollouts.sandbox.nodes.kubelet import Nodes, node_lease, register
from kruise_rollouts.sandbox.nodes.logs import log_of_container
from kruise_rollouts.sandbox.nodes.stages import Knobs
from kruise_rollouts.sandbox.schemas.served import Schemas

from .direct import DirectApi
from .durable import Journal
from .request import SYSTEM, User
from .resources import StorageKey
from .rules import timestamp
from .runner import Runner
from .server import Server
from .store import Store
from .wiring import wirings

KEY_FILE = "service-account.key"
NODE_LEASES = "kube-node-lease"
NAMESPACES = ("default", "kube-system", "kube-public", NODE_LEASES)


class Sandbox:
    """One cluster. `nodes` simulated nodes; `knobs` say how fast and how well pods run.

    `rbac`: whether roles are enforced; otherwise whoever has a token may do everything. `token` is the
    administrator's; one is made up if it is "". `data`: the folder that keeps the objects across restarts.
    `root_ca`: PEM of what has signed the server's certificate, published in every namespace; "" for none.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        nodes: int = 3,
        knobs: Knobs | None = None,
        caller: Caller | None = None,
        seed: int = 0,
        rbac: bool = False,
        token: str = "",
        data: Path | None = None,
        root_ca: str = "",
    ) -> None:
        self.clock = clock
        store = Store()
        self._journal = Journal(data) if data is not None else None
        if self._journal is not None:
            self._journal.open(store)
        self.server = Server(clock, store=store, seed=seed)
        self.customs = CustomResources(self.server.parts, caller)
        self.schemas = Schemas(self.customs, self.server.registry)
        self.schemas.install(self.server.hooks)
        self.admission = Admission(self.server.parts, caller)
        self.admission.install()
        self.token = token or secrets.token_hex(16)
        self.access = Access(
            self.server.parts,
            {self.token: ADMIN},
            enforce=rbac,
            key_file=data / KEY_FILE if data is not None else None,
        )
        self.access.install()
        discovery = self.server.discovery
        self.server.hooks.documents |= open_id(self.access.signer, lambda: discovery.server_address)
        self.server.hooks.log = log_of_container
        Reviews(self.server.parts, self.access).install()
        self.cleanup = CrdCleanup(self.server)
        self.nodes = Nodes(tuple(f"node-{i}" for i in range(nodes)), knobs)
        for pod in store.list("", "pods"):
            self.nodes.reserve((pod.get("status") or {}).get("podIP") or "")
        self.runner = Runner(self.server, clock, wirings(self.nodes, root_ca=root_ca), seed=seed)

    async def start(self) -> None:
        """Serves, with its namespaces and nodes."""
        self.customs.install()
        self.cleanup.start()
        QuotaStatus(self.server.store).start()
        create_default_roles(self.server.parts)
        for name in NAMESPACES:
            await self._ensure("", "namespaces", "", {"metadata": {"name": name}})
        for write in register(self.nodes, self.clock.now()):
            await self._ensure("", "nodes", "", write.body)
        for body in system_classes():
            await self._ensure("scheduling.k8s.io", "priorityclasses", "", body)
        for name in self.nodes.names:
            await self._ensure("coordination.k8s.io", "leases", NODE_LEASES, self._lease(name))
        for group, plural, body in own_service.OBJECTS:
            await self._ensure(group, plural, "default", body)
        await self._ensure(*own_service.CIDRS, "", own_service.ADDRESSES)
        await self._say_ready(own_service.CIDRS, own_service.NAME)
        await self.runner.start()

    def _lease(self, node: str) -> JsonObject:
        """What the kubelet of a node holds to say that it lives."""
        found = self.server.store.get("", "nodes", "", node)
        return node_lease(node, found["metadata"]["uid"] if found is not None else "", self.clock.now())

    async def _say_ready(self, storage: StorageKey, name: str) -> None:
        resource = self.server.registry.stored(storage)
        if resource is None or (self.server.store.get(*storage, "", name) or {}).get("status"):
            return
        ready = {**own_service.READY, "lastTransitionTime": timestamp(self.clock.now())}
        body = {"status": {"conditions": [ready]}}
        await self.server.call("patch", resource, "", name, body, subresource="status")

    async def _ensure(self, group: str, plural: str, ns: str, body: JsonObject) -> None:
        resource = self.server.registry.find(group, "v1", plural)
        if resource is None or self.server.store.get(group, plural, ns, body["metadata"]["name"]) is not None:
            return
        try:
            await self.server.call("create", resource, ns, "", body)
        except AlreadyExists:
            return

    async def stop(self) -> None:
        """Stops the controllers and ends all watches."""
        self.server.watcher.close()
        await self.cleanup.stop()
        await self.runner.stop()
        if self._journal is not None:
            self._journal.close()

    def api(self, user: User = SYSTEM, user_agent: str = "kruise-rollout") -> DirectApi:
        """A client in this process."""
        return DirectApi(self.server, user, user_agent)
