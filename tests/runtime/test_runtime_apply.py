"""Writes through an Api: what comes back is in the cache at once, refusals leave it fresh."""

from __future__ import annotations

import asyncio

import pytest
from fake_server import FakeServer
from msgspec import Struct
from virtual import virtually

from kruise_rollouts.kube.effects import Basis, Create, Delete, Evict, JsonObject, Patch, Ref
from kruise_rollouts.kube.errors import AlreadyExists, Conflict, Invalid, NotFound, TooManyRequests
from kruise_rollouts.kube.objects import CONFIG_MAP, POD, Meta
from kruise_rollouts.runtime.apply import Applier, Fenced, in_order
from kruise_rollouts.runtime.cache import Cache
from kruise_rollouts.runtime.discovery import Discovery

BOX = CONFIG_MAP.ref("ns", "box")


class Box(Struct, frozen=True, gc=False):
    metadata: Meta = Meta()
    data: dict[str, str] = {}


class Stage:
    """A server, a cache and an applier between them."""

    def __init__(self, *, may_write: bool = True) -> None:
        self.server = FakeServer(CONFIG_MAP, POD)
        self.boxes = Cache(Box)
        self.apply = Applier(
            self.server,
            {("v1", "ConfigMap"): self.boxes},
            field_manager="kruise-rollout",
            may_write=lambda: may_write,
        )

    @property
    def box(self) -> Box | None:
        return self.boxes.get("ns", "box")


def owned_by(uid: str) -> JsonObject:
    return {"metadata": {"ownerReferences": [{"uid": uid, "controller": True}]}}


@virtually
async def test_what_was_written_is_in_the_cache_before_the_next_decision() -> None:
    stage = Stage()
    await stage.apply(Create(BOX, {"data": {"a": "1"}}))
    assert stage.box is not None and stage.box.data == {"a": "1"}
    await stage.apply(Patch(BOX, {"data": {"a": "2"}}))
    assert stage.box is not None and stage.box.data == {"a": "2"}
    await stage.apply(Delete(BOX))
    assert stage.box is None


@virtually
async def test_a_patch_on_an_outdated_version_is_a_conflict_that_leaves_the_cache_fresh() -> None:
    stage = Stage()
    await stage.apply(Create(BOX, {"data": {"a": "1"}}))
    assert stage.box is not None
    seen = stage.box.metadata.resource_version
    stage.server.put("configmaps", "ns", "box", data={"a": "theirs"})
    with pytest.raises(Conflict):
        await stage.apply(Patch(BOX, {"data": {"a": "ours"}}, resource_version=seen))
    assert stage.box.data == {"a": "theirs"}


@virtually
async def test_a_patch_on_a_basis_goes_through_whatever_the_status_says_meanwhile() -> None:
    stage = Stage()
    stage.server.put("configmaps", "ns", "box", metadata={"generation": 3}, data={"a": "1"})
    uid = stage.server.objects[("configmaps", "ns", "box")]["metadata"]["uid"]
    stage.server.put("configmaps", "ns", "box", metadata={"generation": 3}, status={"seen": 3})
    await stage.apply(Patch(BOX, {"data": {"b": "2", "c": None}}, basis=Basis(uid, 3)))
    assert stage.box is not None and stage.box.data == {"a": "1", "b": "2"}


@pytest.mark.parametrize("changed", ["generation", "incarnation"])
@virtually
async def test_a_patch_on_an_outdated_basis_is_a_conflict_that_leaves_the_cache_fresh(changed: str) -> None:
    stage = Stage()
    stage.server.put("configmaps", "ns", "box", metadata={"generation": 3}, data={"a": "theirs"})
    uid = stage.server.objects[("configmaps", "ns", "box")]["metadata"]["uid"]
    basis = Basis(uid, 2) if changed == "generation" else Basis("another", 3)
    with pytest.raises(Conflict):
        await stage.apply(Patch(BOX, {"data": {"a": "ours"}}, basis=basis))
    assert stage.box is not None and stage.box.data == {"a": "theirs"}


@virtually
async def test_a_value_that_is_wrong_is_no_conflict() -> None:
    stage = Stage()
    stage.server.put("configmaps", "ns", "box", metadata={"generation": 3}, data={"a": "1"})
    uid = stage.server.objects[("configmaps", "ns", "box")]["metadata"]["uid"]
    stage.server.fail("PATCH", Invalid("it must not be so"))
    with pytest.raises(Invalid):
        await stage.apply(Patch(BOX, {"data": {"a": "ours"}}, basis=Basis(uid, 3)))


@virtually
async def test_a_patch_of_what_is_gone_takes_it_out_of_the_cache() -> None:
    stage = Stage()
    await stage.apply(Create(BOX, {}))
    stage.server.drop("configmaps", "ns", "box")
    with pytest.raises(NotFound):
        await stage.apply(Patch(BOX, {"data": {}}))
    assert stage.box is None


@virtually
async def test_creating_what_we_created_before_a_crash_counts_as_done() -> None:
    stage = Stage()
    stage.server.put("configmaps", "ns", "box", **owned_by("us"))
    await stage.apply(Create(BOX, owned_by("us")))
    assert stage.box is not None


@virtually
async def test_creating_what_somebody_else_owns_is_refused() -> None:
    stage = Stage()
    stage.server.put("configmaps", "ns", "box", **owned_by("them"))
    with pytest.raises(AlreadyExists):
        await stage.apply(Create(BOX, owned_by("us")))


@virtually
async def test_an_object_that_waits_for_its_finalizers_is_seen_being_deleted() -> None:
    stage = Stage()
    await stage.apply(Create(BOX, {"metadata": {"finalizers": ["wait"]}}))
    stage.server.objects[("configmaps", "ns", "box")]["kind"] = "ConfigMap"
    await stage.apply(Delete(BOX))
    assert stage.box is not None and stage.box.metadata.deletion_timestamp


@virtually
async def test_an_object_whose_last_finalizer_we_take_off_is_gone_at_once() -> None:
    stage = Stage()
    await stage.apply(Create(BOX, {"metadata": {"finalizers": ["wait"]}}))
    stage.server.objects[("configmaps", "ns", "box")]["kind"] = "ConfigMap"
    await stage.apply(Delete(BOX))
    await stage.apply(Patch(BOX, {"metadata": {"finalizers": []}}))
    assert stage.box is None


@virtually
async def test_writes_that_are_apart_are_under_way_together_and_others_in_their_order() -> None:
    under_way, most, ended = 0, 0, []

    async def apply(write: Patch) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1
        ended.append(write.ref.name)
        if write.ref.name == "p3":
            raise Conflict("changed")

    pods = [Patch(POD.ref("ns", f"p{n}"), {}, apart=True) for n in range(5)]
    with pytest.raises(Conflict):
        await in_order(apply, [Patch(BOX, {}), *pods, Patch(BOX, {})])
    assert most == 5 and ended[0] == "box"
    assert sorted(ended[1:]) == ["p0", "p1", "p2", "p3", "p4"]


@virtually
async def test_deleting_what_is_gone_counts_as_done() -> None:
    stage = Stage()
    assert await stage.apply(Delete(BOX)) is None


@virtually
async def test_only_the_incarnation_that_was_meant_is_deleted() -> None:
    stage = Stage()
    live = stage.server.put("configmaps", "ns", "box")
    await stage.apply(Delete(BOX, uid="an-earlier-one"))
    assert ("configmaps", "ns", "box") in stage.server.objects
    await stage.apply(Delete(BOX, uid=live["metadata"]["uid"]))
    assert ("configmaps", "ns", "box") not in stage.server.objects


@virtually
async def test_an_eviction_that_is_refused_says_so() -> None:
    stage = Stage()
    stage.server.put("pods", "ns", "p")
    stage.server.fail("POST", TooManyRequests("a disruption budget forbids it"))
    with pytest.raises(TooManyRequests):
        await stage.apply(Evict(POD.ref("ns", "p")))
    await stage.apply(Evict(POD.ref("ns", "p")))


@virtually
async def test_nothing_is_written_by_who_may_not_lead() -> None:
    stage = Stage(may_write=False)
    with pytest.raises(Fenced):
        await stage.apply(Create(BOX, {}))
    assert stage.server.calls == []


class Documents:
    """Serves discovery documents only."""

    def __init__(self, **by_path: bytes) -> None:
        self.by_path = by_path
        self.asked: list[str] = []

    async def request(self, method: str, path: str, **named: object) -> bytes:
        self.asked.append(path)
        if path not in self.by_path:
            raise NotFound("404 page not found")
        return self.by_path[path]

    def watch(self, path, params, *, idle_seconds):
        raise NotImplementedError


@virtually
async def test_kinds_nobody_listed_are_learnt_from_the_server_once() -> None:
    resources = b'{"resources":[{"name":"virtualservices/status","kind":"VirtualService"},{"name":"virtualservices","kind":"VirtualService","namespaced":true}]}'
    documents = Documents(**{"/apis/networking.istio.io/v1": resources})
    discovery = Discovery(documents)
    ref = Ref("networking.istio.io/v1", "VirtualService", "ns", "vs")
    for _ in range(2):
        kind = await discovery.kind_of(ref)
        assert kind.path("ns", "vs") == "/apis/networking.istio.io/v1/namespaces/ns/virtualservices/vs"
    assert len(documents.asked) == 1
    with pytest.raises(NotFound, match=r"does not serve Nope of nope\.io/v1"):
        await discovery.kind_of(Ref("nope.io/v1", "Nope", "ns", "x"))
