"""Three more Python clients, each with its own idea of how to talk to Kubernetes, drive a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from .things import DEPLOYMENT, ROLLOUT, custom, definition, image

pytestmark = [pytest.mark.slow, pytest.mark.kubectl]


def first(events: Iterable[Any], wanted: Callable[[Any], bool]) -> Any:
    """The first event that is wanted; watching ends then."""
    for event in events:
        if wanted(event):
            return event
    raise AssertionError("the watch ended without it")


def in_namespace(body: dict[str, Any], ns: str) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "namespace": ns}}


def test_kr8s_makes_waits_patches_scales_and_deletes(config: Path, ns: str) -> None:
    kr8s = pytest.importorskip("kr8s")
    objects = pytest.importorskip("kr8s.objects")
    api = kr8s.api(kubeconfig=str(config), namespace=ns)
    web = objects.Deployment(in_namespace(DEPLOYMENT, ns), api=api)
    web.create()
    web.wait("condition=Available", timeout=30)
    assert [d.name for d in api.get("deployments", namespace=ns)] == ["web"]
    web.patch(image("2"))
    web.scale(2)
    event, seen = first(
        api.watch("deployments", namespace=ns),
        lambda e: e[1].status.get("updatedReplicas") == e[1].status.get("replicas") == 2,
    )
    assert event in ("ADDED", "MODIFIED") and seen.spec.template.spec.containers[0].image == "web:2"
    web.label({"of": "team"})
    assert len(list(web.pods())) == 2
    Rollout = objects.new_class("Rollout", version="rollouts.kruise.io/v1beta1", namespaced=True)
    rollout = Rollout(in_namespace(ROLLOUT, ns), api=api)
    rollout.create()
    # Its own wait for a JSONPath raises while the path has no value yet.
    first(
        api.watch("rollouts.rollouts.kruise.io", namespace=ns),
        lambda e: e[1].raw.get("status", {}).get("phase") == "Healthy",
    )
    rollout.delete()
    web.delete()
    web.wait("delete", timeout=30)
    api.create(
        [
            kr8s.objects.object_from_spec(
                in_namespace(definition("crates"), ns) | {"metadata": {"name": "crates.clients.example.com"}},
                api=api,
            )
        ]
    )
    crd = objects.CustomResourceDefinition.get("crates.clients.example.com", api=api)
    crd.wait("condition=Established", timeout=30)
    Crate = objects.new_class("Crate", version="clients.example.com/v1", namespaced=True)
    Crate(in_namespace(custom("crates"), ns), api=api).create()
    assert [c.spec.size for c in api.get("crates.clients.example.com", namespace=ns)] == [3]
    crd.delete()


def test_lightkube_makes_watches_applies_and_deletes(config: Path, ns: str) -> None:
    lightkube = pytest.importorskip("lightkube")
    from lightkube.core.exceptions import ApiError
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.models.autoscaling_v1 import ScaleSpec
    from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
    from lightkube.resources.apps_v1 import Deployment

    client = lightkube.Client(
        config=lightkube.KubeConfig.from_file(str(config)), namespace=ns, field_manager="lightkube-test"
    )
    client.create(Deployment.from_dict(DEPLOYMENT))
    client.wait(Deployment, "web", for_conditions=["Available"])
    patched = client.patch(Deployment, "web", image("2"))
    assert patched.spec.template.spec.containers[0].image == "web:2"
    client.apply(Deployment.from_dict(in_namespace(DEPLOYMENT, ns)), force=True)
    with pytest.raises(ApiError) as conflict:
        client.apply(
            Deployment.from_dict(
                in_namespace(DEPLOYMENT, ns) | {"spec": {**DEPLOYMENT["spec"], "replicas": 9}}
            ),
            field_manager="other",
        )
    assert (conflict.value.status.code, conflict.value.status.reason) == (409, "Conflict")
    scale = client.patch(Deployment.Scale, "web", {"spec": {"replicas": 1}})
    assert scale.spec == ScaleSpec(replicas=1)
    operation, seen = first(client.watch(Deployment), lambda e: e[1].status.availableReplicas == 1)
    assert operation in ("ADDED", "MODIFIED") and seen.metadata.name == "web"
    Rollout = create_namespaced_resource("rollouts.kruise.io", "v1beta1", "Rollout", "rollouts")
    client.create(Rollout(ROLLOUT), "web")
    first(client.watch(Rollout), lambda e: (e[1].status or {}).get("phase") == "Healthy")
    client.delete(Rollout, "web")
    client.delete(Deployment, "web")
    client.create(CustomResourceDefinition.from_dict(definition("drums")))
    client.wait(CustomResourceDefinition, "drums.clients.example.com", for_conditions=["Established"])
    Drum = create_namespaced_resource("clients.example.com", "v1", "Drum", "drums")
    client.create(Drum(custom("drums")))
    assert [d.spec["size"] for d in client.list(Drum)] == [3]
    client.delete(CustomResourceDefinition, "drums.clients.example.com")


def test_pykube_makes_watches_patches_and_deletes(config: Path, ns: str) -> None:
    pykube = pytest.importorskip("pykube")
    api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(config)))
    web = pykube.Deployment(api, in_namespace(DEPLOYMENT, ns))
    web.create()
    mine = pykube.Deployment.objects(api, namespace=ns)
    first(mine.watch(), lambda e: e.object.obj.get("status", {}).get("readyReplicas") == 4)
    settings = pykube.ConfigMap(api, {"metadata": {"name": "settings", "namespace": ns}, "data": {"a": "b"}})
    settings.create()
    settings.obj["data"]["a"] = "c"
    settings.update()
    assert pykube.ConfigMap.objects(api, namespace=ns).get_by_name("settings").obj["data"] == {"a": "c"}
    web.patch({"metadata": {"annotations": {"of": "team"}}, "spec": {"replicas": 2}})
    web.patch(image("2"))
    assert [d.name for d in mine.filter(selector={"app": "web"})] == ["web"]
    first(
        mine.watch(),
        lambda e: (
            e.object.obj["status"].get("updatedReplicas") == e.object.obj["status"].get("replicas") == 2
        ),
    )
    web.reload()
    assert web.annotations["of"] == "team" and web.ready
    Rollout = pykube.object_factory(api, "rollouts.kruise.io/v1beta1", "Rollout")
    Rollout(api, in_namespace(ROLLOUT, ns)).create()
    first(
        Rollout.objects(api, namespace=ns).watch(),
        lambda e: e.object.obj.get("status", {}).get("phase") == "Healthy",
    )
    Rollout.objects(api, namespace=ns).get_by_name("web").delete()
    web.delete(propagation_policy="Background")
    assert not web.exists(ensure=False)
    with pytest.raises(pykube.exceptions.ObjectDoesNotExist):
        mine.get_by_name("web")
    crd = pykube.CustomResourceDefinition(api, definition("kegs"))
    crd.create()
    first(
        pykube.CustomResourceDefinition.objects(api).watch(),
        lambda e: (
            e.object.name.startswith("kegs")
            and any(c["type"] == "Established" for c in e.object.obj["status"]["conditions"])
        ),
    )
    Keg = pykube.object_factory(api, "clients.example.com/v1", "Keg")
    Keg(api, in_namespace(custom("kegs"), ns)).create()
    assert [k.obj["spec"]["size"] for k in Keg.objects(api, namespace=ns)] == [3]
    crd.delete()
