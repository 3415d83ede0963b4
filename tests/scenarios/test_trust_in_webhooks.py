"""Whoever deletes, replaces or puts back what makes the API server reach and trust our webhooks: it heals at once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import CRD, MUTATING_WEBHOOKS, SECRET, VALIDATING_WEBHOOKS, Kind
from kruise_rollouts.operator.install import CONVERTED, install
from kruise_rollouts.operator.installation import CERT_SECRET, Installation, all_objects
from kruise_rollouts.operator.options import DEFAULT_NAMESPACE, WebhookOptions
from kruise_rollouts.operator.trust import Trust
from kruise_rollouts.operator.webhook_configurations import MUTATING, VALIDATING, Target, target_of
from kruise_rollouts.runtime import certs
from kruise_rollouts.runtime.certstore import CertKeeper, SecretStore
from kruise_rollouts.runtime.clock import LoopClock, cancelled, run_virtual
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.sandbox import Sandbox

from .failing_api import FailingApi
from .on_sandbox import ADMIN

PLACES = ((MUTATING_WEBHOOKS, MUTATING), (VALIDATING_WEBHOOKS, VALIDATING), *((CRD, n) for n in CONVERTED))
SOON = 2.0  # seconds


class Watched:
    """A cluster in which everything is installed, and one manager's certificates and trust."""

    def __init__(self, folder: Path) -> None:
        self.clock = LoopClock()
        self.sandbox = Sandbox(self.clock)
        self.person = DirectApi(self.sandbox.server, ADMIN, "kubectl/test")
        self.asked = 0  # requests of the manager
        api = FailingApi(self.sandbox.api(), self.clock, self._asked)

        def target(bundle: certs.Bundle) -> Target:
            return target_of(DEFAULT_NAMESPACE, WebhookOptions(), bundle.ca_cert)

        self.trust = Trust(api, self.clock, target, secret=(DEFAULT_NAMESPACE, CERT_SECRET))
        store = SecretStore(api, DEFAULT_NAMESPACE, CERT_SECRET)
        names = ("webhook.test",)
        publish = self.trust.publish
        self.keeper = CertKeeper(store, self.clock, names=names, folder=folder, on_bundle=publish)
        self.trust.subscribe(self.keeper.look_again)

    def _asked(self, method: str, path: str) -> None:
        self.asked += 1

    async def install(self) -> None:
        await install(self.person, self.clock, all_objects(Installation()))

    async def get(self, kind: Kind, name: str, ns: str = "") -> JsonObject:
        found: JsonObject = msgspec.json.decode(await self.person.request("GET", kind.path(ns, name)))
        return found

    async def trusted(self) -> set[str]:
        """Every caBundle that the API server goes by."""
        found: set[str] = set()
        for kind, name in PLACES:
            obj = await self.get(kind, name)
            clients = [w["clientConfig"] for w in obj.get("webhooks", ())]
            if kind is CRD:
                clients = [obj["spec"]["conversion"]["webhook"]["clientConfig"]]
            found |= {c.get("caBundle", "") for c in clients}
        return found


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "new_key", lambda: ec.generate_private_key(ec.SECP256R1()))


def play(folder: Path, story: Callable[[Watched], Awaitable[None]]) -> None:
    async def run() -> None:
        there = Watched(folder)
        await there.sandbox.start()
        await there.install()
        bundle = await there.keeper.ensure()
        tasks = [
            asyncio.create_task(run()) for run in (there.keeper.run, *(s.run for s in there.trust.sources))
        ]
        try:
            await there.clock.sleep(SOON)
            await story(there)
            await there.clock.sleep(SOON)
            assert await there.trusted() == {base64.b64encode(bundle.ca_cert).decode()}
            assert there.trust.missing == ""
            assert not any(task.done() for task in tasks)
        finally:
            await cancelled(*tasks)
            await there.sandbox.stop()

    run_virtual(run())


@pytest.mark.slow
@pytest.mark.parametrize("kind, name", PLACES, ids=str)
def test_what_is_deleted_and_put_back_is_trusted_at_once(tmp_path: Path, kind: Kind, name: str) -> None:
    """S11. Meanwhile the manager says what is missing, and does not end."""

    async def story(there: Watched) -> None:
        await there.person.request("DELETE", kind.path("", name))
        await there.clock.sleep(SOON)
        assert f"{kind.kind} {name} is not there" in there.trust.missing
        await there.install()

    play(tmp_path, story)


@pytest.mark.slow
def test_a_manifest_without_our_ca_that_is_written_over_ours_costs_no_trust(tmp_path: Path) -> None:
    """S11, S38: `kubectl replace` and GitOps tools that replace."""

    async def story(there: Watched) -> None:
        for kind, name in PLACES:
            obj = await there.get(kind, name)
            for client in (
                *(w["clientConfig"] for w in obj.get("webhooks", ())),
                *([obj["spec"]["conversion"]["webhook"]["clientConfig"]] if kind is CRD else ()),
            ):
                client.pop("caBundle", None)
            await there.person.request("PUT", kind.path("", name), body=msgspec.json.encode(obj))
        assert await there.trusted() == {""}

    play(tmp_path, story)


@pytest.mark.slow
def test_a_deleted_certificate_secret_is_there_again_before_another_replica_starts(tmp_path: Path) -> None:
    """S11. Or that replica would make a CA of its own, and this one would not be trusted any more."""

    async def story(there: Watched) -> None:
        before = (await there.get(SECRET, CERT_SECRET, DEFAULT_NAMESPACE))["data"]
        await there.person.request("DELETE", SECRET.path(DEFAULT_NAMESPACE, CERT_SECRET))
        await there.clock.sleep(SOON)
        assert (await there.get(SECRET, CERT_SECRET, DEFAULT_NAMESPACE))["data"] == before

    play(tmp_path, story)


@pytest.mark.slow
def test_a_quiet_hour_costs_few_requests(tmp_path: Path) -> None:
    async def story(there: Watched) -> None:
        there.asked = 0
        await there.clock.sleep(3600)
        assert 10 < there.asked <= 90, there.asked  # watches that begin again, and a look every ten minutes

    play(tmp_path, story)
