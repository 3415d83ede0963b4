"""CRDs of a running server: what they serve, when they are established, how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from kruise_rollouts.kube.errors import ApiError, Forbidden, Invalid, NotFound
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.admission.callers import AppCaller
from kruise_rollouts.sandbox.custom.crd import CRDS, CustomResources
from kruise_rollouts.sandbox.custom.crd_cleanup import CrdCleanup
from kruise_rollouts.sandbox.server import Server

Json = Any
GROUP = "example.com"


def a_crd(plural: str = "widgets", kind: str = "Widget", *, group: str = GROUP, **spec: Any) -> Json:
    version = a_version()
    names = {"plural": plural, "kind": kind}
    return {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version], **spec},
    }


def a_version(name: str = "v1", *, storage: bool = True, **fields: Any) -> Json:
    spec = {
        "type": "object",
        "properties": {"replicas": {"type": "integer", "default": 1}, "mode": {"type": "string"}},
    }
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **fields}


class World:
    def __init__(self) -> None:
        clock = WallClock()
        self.server = Server(clock)
        self.caller = AppCaller(clock)
        self.crds = CustomResources(self.server.parts, self.caller)
        self.crds.install()
        self.cleanup = CrdCleanup(self.server)
        self.cleanup.start()

    async def define(self, crd: Json) -> Json:
        """Creates the CRD and returns it as it is a moment later."""
        resource = self.server.registry.find(CRDS[0], "v1", CRDS[1])
        assert resource is not None
        await self.server.call("create", resource, "", "", crd)
        await asyncio.sleep(0)
        return self.crd(crd["metadata"]["name"])

    def crd(self, name: str) -> Json:
        return self.server.store.get(*CRDS, "", name)

    async def change_crd(self, name: str, patch: Json) -> Json:
        resource = self.server.registry.find(CRDS[0], "v1", CRDS[1])
        assert resource is not None
        return await self.server.call("patch", resource, "", name, patch)

    async def delete_crd(self, name: str = f"widgets.{GROUP}") -> None:
        resource = self.server.registry.find(CRDS[0], "v1", CRDS[1])
        assert resource is not None
        await self.server.call("delete", resource, "", name)

    async def call(
        self, verb: str, name: str = "", body: Json = None, *, version: str = "v1", **options: Any
    ) -> Json:
        resource = self.server.registry.find(GROUP, version, "widgets")
        if resource is None:
            raise NotFound("not served")
        return await self.server.call(verb, resource, "default", name, body, **options)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.cleanup.stop()


def a_widget(name: str = "w", **spec: Any) -> Json:
    return {"kind": "Widget", "metadata": {"name": name}, "spec": spec}


def conditions(crd: Json) -> Json:
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in crd["status"]["conditions"]}


async def test_a_crd_is_established_and_serves_its_objects(world: World) -> None:
    crd = await world.define(a_crd())
    assert conditions(crd) == {
        "NamesAccepted": ("True", "NoConflicts", "no conflicts found"),
        "Established": ("True", "InitialNamesAccepted", "the initial names have been accepted"),
    }
    assert crd["status"]["acceptedNames"] == {
        "plural": "widgets",
        "singular": "widget",
        "kind": "Widget",
        "listKind": "WidgetList",
    }
    assert crd["status"]["storedVersions"] == ["v1"]
    stored = await world.call("create", body=a_widget(mode="a", nonsense=1))
    assert stored["spec"] == {"replicas": 1, "mode": "a"}


async def test_names_that_another_crd_has_are_not_accepted(world: World) -> None:
    await world.define(a_crd())
    crd = await world.define(a_crd("gadgets", "Widget"))
    assert conditions(crd) == {
        "NamesAccepted": ("False", "ListKindConflict", '"WidgetList" is already in use'),
        "Established": ("False", "NotAccepted", "not all names are accepted"),
    }
    assert world.server.registry.find(GROUP, "v1", "gadgets") is None


async def test_a_name_is_accepted_once_it_is_free(world: World) -> None:
    await world.define(a_crd())
    await world.define(a_crd("gadgets", "Widget"))
    await world.delete_crd()
    await settle()
    assert conditions(world.crd(f"gadgets.{GROUP}"))["Established"][0] == "True"


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_same_names_in_another_group_do_not_conflict(world: World) -> None:
    await world.define(a_crd())
    crd = await world.define(a_crd(group="other.example.com"))
    assert conditions(crd)["Established"][0] == "True"


async def test_groups_of_the_community_need_an_approval(world: World) -> None:
    with pytest.raises(Invalid, match=r"must have approval annotation \"api-approved.kubernetes.io\""):
        await world.define(a_crd(group="gateway.networking.k8s.io"))
    crd = a_crd(group="gateway.networking.k8s.io")
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://github.com/kubernetes/pull/1"}
    found = conditions(await world.define(crd))["KubernetesAPIApprovalPolicyConformant"]
    assert found == ("True", "ApprovedAnnotation", "approved in https://github.com/kubernetes/pull/1")


async def test_deleting_a_crd_deletes_its_objects(world: World) -> None:
    await world.define(a_crd())
    await world.call("create", body=a_widget())
    await world.delete_crd()
    await settle()
    assert world.crd(f"widgets.{GROUP}") is None
    assert world.server.store.list(GROUP, "widgets") == []
    assert world.server.registry.find(GROUP, "v1", "widgets") is None


async def test_a_finalizer_of_an_object_holds_up_the_crd(world: World) -> None:
    await world.define(a_crd())
    widget = a_widget()
    widget["metadata"]["finalizers"] = ["example.com/wait"]
    await world.call("create", body=widget)
    await world.delete_crd()
    await settle()
    crd = world.crd(f"widgets.{GROUP}")
    assert crd["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert conditions(crd)["Terminating"][1] == "InstanceDeletionInProgress"
    with pytest.raises(Forbidden, match="create not allowed while custom resource definition is terminating"):
        await world.call("create", body=a_widget("another"))
    await world.call("patch", "w", {"metadata": {"finalizers": None}})
    await settle()
    assert world.crd(f"widgets.{GROUP}") is None


async def test_a_new_storage_version_is_remembered_and_the_old_one_must_stay(world: World) -> None:
    await world.define(a_crd(versions=[a_version(), a_version("v2", storage=False)]))
    name = f"widgets.{GROUP}"
    await world.change_crd(name, {"spec": {"versions": [a_version(storage=False), a_version("v2")]}})
    await settle()
    assert world.crd(name)["status"]["storedVersions"] == ["v1", "v2"]
    with pytest.raises(Invalid, match=r"status.storedVersions\[0\]: .*missing from spec.versions"):
        await world.change_crd(name, {"spec": {"versions": [a_version("v2")]}})


async def test_what_a_crd_is_called_cannot_be_changed(world: World) -> None:
    await world.define(a_crd())
    with pytest.raises(Invalid, match=r'spec.scope: Invalid value: "Cluster": field is immutable'):
        await world.change_crd(f"widgets.{GROUP}", {"spec": {"scope": "Cluster"}})


async def test_versions_are_preferred_as_kubernetes_prefers_them(world: World) -> None:
    names = ["v1alpha1", "foo", "v10", "v1", "v2beta1", "v2"]
    await world.define(a_crd(versions=[a_version(n, storage=n == "v1") for n in names]))
    assert world.server.registry.versions(GROUP) == ("v10", "v2", "v1", "v2beta1", "v1alpha1", "foo")


async def test_status_is_written_by_its_own_endpoint_only(world: World) -> None:
    await world.define(a_crd(versions=[a_version(subresources={"status": {}})]))
    created = await world.call("create", body={**a_widget(), "status": {"a": 1}})
    assert "status" not in created
    changed = await world.call("patch", "w", {"spec": {"mode": "b"}, "status": {"a": 1}})
    assert "status" not in changed
    written = await world.call("patch", "w", {"spec": {"mode": "c"}, "status": {}}, subresource="status")
    assert (written["spec"]["mode"], written["status"]) == ("b", {})


async def test_scale_reads_and_writes_the_paths_the_crd_names(world: World) -> None:
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    await world.define(a_crd(versions=[a_version(subresources={"scale": scale})]))
    await world.call("create", body=a_widget(replicas=2))
    shown = await world.call("patch", "w", {"spec": {"replicas": 5}}, subresource="scale")
    assert (shown["kind"], shown["spec"]["replicas"]) == ("Scale", 5)
    assert (await world.call("get", "w"))["spec"]["replicas"] == 5


async def test_without_a_webhook_conversion_changes_the_version_only(world: World) -> None:
    await world.define(a_crd(versions=[a_version(), a_version("v2", storage=False)]))
    await world.call("create", body=a_widget(mode="a"), version="v2")
    assert (await world.call("get", "w", version="v1"))["apiVersion"] == f"{GROUP}/v1"
    assert world.server.store.get(GROUP, "widgets", "default", "w")["apiVersion"] == f"{GROUP}/v1"  # type: ignore[index]


class Converter:
    """A conversion webhook in this process; `answer(request)` makes the response."""

    def __init__(self, world: World) -> None:
        self.response: Json = None
        world.caller.register("convert.test", self._respond)

    async def _respond(self, path: str, body: bytes) -> tuple[int, bytes]:
        review = msgspec.json.decode(body)
        request = review["request"]
        objects = [
            {**o, "apiVersion": request["desiredAPIVersion"], "spec": {"mode": "converted"}}
            for o in request["objects"]
        ]
        response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        if self.response is not None:
            response |= self.response
        return 200, msgspec.json.encode({**review, "response": response})


async def converting(world: World) -> Converter:
    converter = Converter(world)
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://convert.test/c"}}
    conversion = {"strategy": "Webhook", "webhook": webhook}
    await world.define(a_crd(versions=[a_version(), a_version("v2", storage=False)], conversion=conversion))
    await world.call("create", body=a_widget())
    return converter


async def test_a_webhook_converts_what_is_read_in_another_version(world: World) -> None:
    await converting(world)
    shown = await world.call("get", "w", version="v2")
    assert (shown["apiVersion"], shown["spec"]) == (f"{GROUP}/v2", {"mode": "converted"})


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"result": {"status": "Failed", "message": "cannot do"}}, "failed: cannot do"),
        ({"result": {"status": "Failed"}}, "failed: response.result.status was 'Failed', not 'Success'"),
        ({"convertedObjects": []}, "returned 0 objects, expected 1"),
        (
            {"convertedObjects": [{"apiVersion": f"{GROUP}/v1", "kind": "Widget"}]},
            f"returned invalid object at index 0: invalid groupVersion (expected {GROUP}/v2, received {GROUP}/v1)",
        ),
        (
            {"convertedObjects": [{"apiVersion": f"{GROUP}/v2", "kind": "ZZ"}]},
            "returned invalid object at index 0: invalid kind (expected Widget, received ZZ)",
        ),
        (
            {
                "convertedObjects": [
                    {"apiVersion": f"{GROUP}/v2", "kind": "Widget", "metadata": {"name": "zz"}}
                ]
            },
            "returned invalid object: must have the same name: w != zz",
        ),
    ],
)
async def test_a_conversion_that_fails_is_worded_as_kubernetes_words_it(
    world: World, response: Json, message: str
) -> None:
    converter = await converting(world)
    converter.response = response
    with pytest.raises(ApiError) as caught:
        await world.call("get", "w", version="v2")
    assert (caught.value.code, caught.value.reason) == (500, "")
    assert caught.value.message == f"conversion webhook for {GROUP}/v1, Kind=Widget {message}"


async def test_a_stricter_schema_does_not_lock_old_objects(world: World) -> None:
    await world.define(a_crd())
    await world.call("create", body=a_widget(mode="old", replicas=1))
    version = a_version()
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["mode"]["pattern"] = "^new"
    await world.change_crd(f"widgets.{GROUP}", {"spec": {"versions": [version]}})
    await settle()
    changed = await world.call("patch", "w", {"spec": {"replicas": 2}})
    assert changed["spec"] == {"mode": "old", "replicas": 2}
    with pytest.raises(Invalid, match=r"spec.mode in body should match '\^new'"):
        await world.call("patch", "w", {"spec": {"mode": "older"}})


async def test_a_new_crd_shows_which_version_is_stored_and_no_names_yet(world: World) -> None:
    resource = world.server.registry.find(CRDS[0], "v1", CRDS[1])
    assert resource is not None
    created = await world.server.call("create", resource, "", "", a_crd())
    assert created["status"] == {
        "acceptedNames": {"plural": "", "kind": ""},
        "conditions": None,
        "storedVersions": ["v1"],
    }


async def test_a_condition_without_a_type_does_not_keep_a_crd_from_being_served(world: World) -> None:
    await world.define(a_crd())
    resource = world.server.registry.find(CRDS[0], "v1", CRDS[1])
    assert resource is not None
    patch = {"status": {"conditions": [{"message": "patched"}]}}
    await world.server.call("patch", resource, "", "widgets.example.com", patch, subresource="status")
    await asyncio.sleep(0)
    conditions = world.crd("widgets.example.com")["status"]["conditions"]
    assert {"type": "", "status": "", "lastTransitionTime": None, "message": "patched"} in conditions
    assert (await world.call("create", body=a_widget()))["kind"] == "Widget"


async def test_a_new_default_shows_on_objects_that_were_stored_before(world: World) -> None:
    await world.define(a_crd())
    await world.call("create", body=a_widget())
    version = a_version()
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["colour"] = {
        "type": "string",
        "default": "red",
    }
    resource = world.server.registry.find(CRDS[0], "v1", CRDS[1])
    assert resource is not None
    patch = {"spec": {"versions": [version]}}
    await world.server.call("patch", resource, "", "widgets.example.com", patch)
    await asyncio.sleep(0)
    assert (await world.call("get", "w"))["spec"]["colour"] == "red"
    listed = await world.call("list")
    assert [i["spec"]["colour"] for i in listed["items"]] == ["red"]
