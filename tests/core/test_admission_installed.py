"""Installed in a cluster: what is put there, what is kept alive, and which updates reach us at all."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from kruise_rollouts.api import keys
from kruise_rollouts.core.validation import Limits
from kruise_rollouts.kube.errors import ApiError, Invalid, NotFound
from kruise_rollouts.kube.objects import (
    CRD,
    DEPLOYMENT,
    MUTATING_WEBHOOKS,
    ROLLOUT,
    VALIDATING_WEBHOOKS,
    Kind,
)
from kruise_rollouts.operator.controllers import Informers, world_of
from kruise_rollouts.operator.install import CONVERTED, NotInstalled, ensure, install, uninstall
from kruise_rollouts.operator.installation import (
    Installation,
    all_objects,
    crd_objects,
    outside_objects,
    webhook_objects,
)
from kruise_rollouts.operator.options import WebhookOptions
from kruise_rollouts.operator.webhook_configurations import MUTATING, VALIDATING, Target, target_of
from kruise_rollouts.operator.webhooks import add_webhooks
from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.runtime.webhook import WebhookApp
from kruise_rollouts.sandbox.admission.callers import AppCaller
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.sandbox import Sandbox

Obj = dict[str, Any]
HOST = "webhooks.test:9876"
TARGET = Target(url=f"https://{HOST}")


class Cluster:
    """A sandbox with our webhooks installed, answering from caches that have not seen anything yet."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.caller = AppCaller(self.clock)
        self.sandbox = Sandbox(self.clock, caller=self.caller)
        self.warnings: list[str] = []
        self.api = self.sandbox.api()
        self.person = DirectApi(self.sandbox.server, user_agent="kubectl", on_warning=self.warnings.append)

    async def answer(self, *, listed: bool = True) -> None:
        app = WebhookApp(self.clock)
        world = world_of(Informers(self.api, self.clock), self.api)
        add_webhooks(app, world, self.api, Limits(), listed=lambda: listed)
        app.open()
        self.caller.register(HOST, app.respond)
        await install(self.api, self.clock, outside_objects(TARGET))

    async def get(self, kind: Kind, name: str, ns: str = "") -> Obj:
        found: Obj = msgspec.json.decode(await self.api.request("GET", kind.path(ns, name)))
        return found

    async def create(self, kind: Kind, body: Obj, version: str = "") -> Obj:
        path = kind.path("default")
        if version:
            path = path.replace("v1beta1", version)
        answer = await self.person.request("POST", path, body=msgspec.json.encode(body))
        made: Obj = msgspec.json.decode(answer)
        return made

    async def patch(self, kind: Kind, name: str, body: Obj, ns: str = "default", **params: str) -> Obj:
        answer = await self.person.request(
            "PATCH",
            kind.path(ns, name),
            params=params,
            body=msgspec.json.encode(body),
            content_type="application/merge-patch+json",
        )
        made: Obj = msgspec.json.decode(answer)
        return made


@asynccontextmanager
async def a_cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    await cluster.sandbox.start()
    try:
        yield cluster
    finally:
        await cluster.sandbox.stop()


def in_a_cluster(test: Callable[[Cluster], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        async def inside() -> None:
            async with a_cluster() as cluster:
                await test(cluster)

        run_virtual(inside())

    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would look for a fixture named "cluster"
    return run


def deployment(image: str = "web:v1", replicas: int = 3) -> Obj:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }


def rollout(*steps: Obj) -> Obj:
    return {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "strategy": {"canary": {"steps": list(steps or ({"replicas": 1}, {"replicas": "100%"}))}},
        },
    }


NEW_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:v2"}]}}}}
LABELLED = {"metadata": {"labels": {keys.WORKLOAD_TYPE: "deployment"}}}


@pytest.mark.slow
@in_a_cluster
async def test_versions_that_have_not_been_listed_yet_are_looked_up(cluster: Cluster) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    body = msgspec.json.encode(quota)
    await cluster.person.request("POST", "/api/v1/namespaces/default/resourcequotas", body=body)
    await cluster.answer(listed=False)
    await cluster.create(DEPLOYMENT, deployment())
    await cluster.clock.sleep(2)
    assert not (await cluster.get(DEPLOYMENT, "web", "default"))["status"].get("replicas")
    await cluster.create(ROLLOUT, rollout())
    container = {"name": "web", "image": "web:v2"}
    held = await cluster.patch(
        DEPLOYMENT, "web", {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    assert held["spec"]["paused"]


@in_a_cluster
async def test_everything_is_installed_and_installing_again_changes_nothing(cluster: Cluster) -> None:
    installation = Installation()
    await install(cluster.api, cluster.clock, all_objects(installation))
    first = [await cluster.get(CRD, name) for name in CONVERTED]
    configuration = await cluster.get(MUTATING_WEBHOOKS, MUTATING)
    await install(cluster.api, cluster.clock, all_objects(installation))
    assert [await cluster.get(CRD, name) for name in CONVERTED] == first
    assert await cluster.get(MUTATING_WEBHOOKS, MUTATING) == configuration


@pytest.mark.slow
@in_a_cluster
async def test_the_trust_is_put_everywhere_once(cluster: Cluster) -> None:
    await install(cluster.api, cluster.clock, all_objects(Installation()))
    target = target_of("kruise-rollout", WebhookOptions(), b"-----BEGIN CERTIFICATE-----")
    await ensure(cluster.api, target)
    places = (
        (MUTATING_WEBHOOKS, MUTATING),
        (VALIDATING_WEBHOOKS, VALIDATING),
        *((CRD, n) for n in CONVERTED),
    )
    seen = [await cluster.get(kind, name) for kind, name in places]
    clients = [w["clientConfig"] for obj in seen[:2] for w in obj["webhooks"]]
    clients += [obj["spec"]["conversion"]["webhook"]["clientConfig"] for obj in seen[2:]]
    assert {c["caBundle"] for c in clients} == {target.ca_bundle}
    assert {c["service"]["name"] for c in clients} == {"kruise-rollout-webhook-service"}
    await ensure(cluster.api, target)
    assert [await cluster.get(kind, name) for kind, name in places] == seen


@pytest.mark.slow
@in_a_cluster
async def test_rules_that_an_administrator_has_narrowed_stay_narrowed(cluster: Cluster) -> None:
    await install(cluster.api, cluster.clock, webhook_objects(Installation()) + crd_objects(Installation()))
    live = await cluster.get(MUTATING_WEBHOOKS, MUTATING)
    narrowed = {"matchLabels": {"team": "shop"}}
    stale = {**live["webhooks"][0], "name": "munifiedworload.kb.io"}
    stale["clientConfig"] = {
        "service": {**stale["clientConfig"]["service"], "path": "/mutate-unified-workload"}
    }
    webhooks = [{**live["webhooks"][0], "objectSelector": narrowed}, *live["webhooks"][1:], stale]
    body = {"metadata": {"annotations": {"template": "[]", "a": "b"}}, "webhooks": webhooks}
    await cluster.patch(MUTATING_WEBHOOKS, MUTATING, body, ns="")
    await ensure(cluster.api, target_of("kruise-rollout", WebhookOptions(host="10.0.0.1", port=1), b"CA"))
    after = await cluster.get(MUTATING_WEBHOOKS, MUTATING)
    assert [w["name"] for w in after["webhooks"]] == ["mdeployment.kb.io", "mdeployment-unlabelled.kb.io"]
    assert after["webhooks"][0]["objectSelector"] == narrowed
    assert after["webhooks"][0]["clientConfig"]["url"] == "https://10.0.0.1:1/mutate-apps-v1-deployment"
    assert after["metadata"]["annotations"] == {"a": "b"}


@in_a_cluster
async def test_without_an_installation_the_manager_says_what_to_run(cluster: Cluster) -> None:
    with pytest.raises(NotInstalled, match="kruise-rollout install"):
        await ensure(cluster.api, Target())


@pytest.mark.slow
@in_a_cluster
async def test_uninstalling_does_not_leave_a_rollout_without_a_manager_to_end_it(cluster: Cluster) -> None:
    await cluster.answer()
    await install(cluster.api, cluster.clock, all_objects(Installation(TARGET)))
    kept = rollout()
    kept["metadata"]["finalizers"] = [keys.ROLLOUT_FINALIZER]
    await cluster.create(ROLLOUT, kept)
    with pytest.raises(ApiError, match="wait for the manager"):
        await uninstall(cluster.api, cluster.clock, Installation(TARGET), with_data=True)
    manager = "kruise-rollout-controller-manager"
    assert (await cluster.get(DEPLOYMENT, manager, "kruise-rollout"))["metadata"]["name"] == manager


@pytest.mark.slow
@in_a_cluster
async def test_uninstalling_keeps_rollouts_unless_told_otherwise(cluster: Cluster) -> None:
    await install(cluster.api, cluster.clock, all_objects(Installation()))
    await uninstall(cluster.api, cluster.clock, Installation())
    with pytest.raises(NotFound):
        await cluster.get(MUTATING_WEBHOOKS, MUTATING)
    assert (await cluster.get(CRD, CONVERTED[0]))["spec"]["group"] == keys.GROUP
    await uninstall(cluster.api, cluster.clock, Installation(), with_data=True)
    with pytest.raises(NotFound):
        await cluster.get(CRD, CONVERTED[0])


# --- what reaches us ---------------------------------------------------------------------------------------------


@in_a_cluster
async def test_a_rollout_created_a_moment_ago_holds_the_very_next_update(cluster: Cluster) -> None:
    await cluster.answer()
    await cluster.create(DEPLOYMENT, deployment())
    await cluster.clock.sleep(30)
    await cluster.create(ROLLOUT, rollout())
    held = await cluster.patch(DEPLOYMENT, "web", NEW_IMAGE)
    assert held["spec"]["paused"] is True
    assert keys.IN_PROGRESSING in held["metadata"]["annotations"]
    assert held["metadata"]["labels"][keys.STABLE_REVISION]
    assert cluster.warnings[0].startswith("Rollout web holds this update: step 1 of 2 gives 1 of 3 pods")


@in_a_cluster
async def test_replacing_a_held_deployment_does_not_free_it(cluster: Cluster) -> None:
    await cluster.answer()
    await cluster.create(DEPLOYMENT, deployment())
    await cluster.clock.sleep(30)
    await cluster.create(ROLLOUT, rollout())
    held = await cluster.patch(DEPLOYMENT, "web", NEW_IMAGE)
    body = msgspec.json.encode(deployment("web:v2"))
    after = msgspec.json.decode(
        await cluster.person.request("PUT", DEPLOYMENT.path("default", "web"), body=body)
    )
    assert after["spec"] == held["spec"]
    assert after["metadata"]["labels"] == held["metadata"]["labels"]
    assert keys.IN_PROGRESSING in after["metadata"]["annotations"]


@in_a_cluster
async def test_while_nobody_answers_unmanaged_deployments_and_scaling_are_not_affected(
    cluster: Cluster,
) -> None:
    await cluster.answer()
    await cluster.create(DEPLOYMENT, deployment())
    cluster.caller.unregister(HOST)
    await cluster.patch(DEPLOYMENT, "web", NEW_IMAGE)
    assert not (await cluster.get(DEPLOYMENT, "web", "default"))["spec"].get("paused")
    await cluster.patch(DEPLOYMENT, "web", LABELLED)
    await cluster.patch(DEPLOYMENT, "web", {"spec": {"replicas": 5}})
    with pytest.raises(ApiError, match=r"mdeployment\.kb\.io"):
        await cluster.patch(DEPLOYMENT, "web", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})


@in_a_cluster
async def test_our_own_writes_do_not_need_an_answer(cluster: Cluster) -> None:
    await cluster.answer()
    await cluster.create(
        DEPLOYMENT, {**deployment(), **{"metadata": {"name": "web", **LABELLED["metadata"]}}}
    )
    cluster.caller.unregister(HOST)
    await cluster.patch(DEPLOYMENT, "web", NEW_IMAGE, fieldManager=keys.FIELD_MANAGER)


@in_a_cluster
async def test_a_wrong_rollout_is_refused_and_a_useless_one_warned_of(cluster: Cluster) -> None:
    await cluster.answer()
    with pytest.raises(
        Invalid, match=r"Spec\.Strategy\.Canary\.Steps\[0\]\.Replicas: Invalid value: \"101%\""
    ):
        await cluster.create(ROLLOUT, rollout({"replicas": "101%"}))
    await cluster.create(ROLLOUT, rollout({"replicas": "10%", "traffic": "10%"}))
    assert any("no trafficRoutings" in w for w in cluster.warnings)


@in_a_cluster
async def test_a_rollout_is_written_and_read_in_both_versions(cluster: Cluster) -> None:
    await cluster.answer()
    blue = rollout()
    blue["spec"]["strategy"] = {"blueGreen": {"steps": [{"replicas": "100%"}]}}
    await cluster.create(ROLLOUT, blue)
    old = Kind("rollouts.kruise.io/v1alpha1", "Rollout", "rollouts")
    await cluster.patch(old, "web", {"metadata": {"labels": {"a": "b"}}})
    after = await cluster.get(ROLLOUT, "web", "default")
    assert after["metadata"]["labels"] == {"a": "b"}
    assert after["spec"]["strategy"] == blue["spec"]["strategy"]
    assert keys.OTHER_VERSION not in after["metadata"].get("annotations", {})


@in_a_cluster
async def test_what_a_v1alpha1_object_carries_for_v1beta1_is_validated_too(cluster: Cluster) -> None:
    await cluster.answer()
    forged = (
        '{"version":"rollouts.kruise.io/v1beta1","spec":{"workloadRef":{"apiVersion":"apps/v1","kind":"Deployment",'
        '"name":"web"},"strategy":{"blueGreen":{"steps":[]}}}}'
    )
    body = {
        "apiVersion": "rollouts.kruise.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "web",
            "annotations": {keys.OTHER_VERSION: forged, keys.ROLLING_STYLE: "bluegreen"},
        },
        "spec": {
            "objectRef": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
            "strategy": {},
        },
    }
    with pytest.raises(Invalid, match=r"Spec\.Strategy\.BlueGreen\.Steps"):
        await cluster.create(ROLLOUT, body, version="v1alpha1")
