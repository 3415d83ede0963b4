"""Admission webhooks: who is asked, in which order, and what becomes of their answers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from kruise_rollouts.kube.errors import ApiError, Forbidden
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.admission.admission import Admission
from kruise_rollouts.sandbox.admission.callers import AppCaller, CallFailed
from kruise_rollouts.sandbox.admission.webhooks import fitted
from kruise_rollouts.sandbox.request import SYSTEM, Options, Request
from kruise_rollouts.sandbox.server import Server

Json = Any
Answer = Callable[[Json], Json]

VALIDATING = ("admissionregistration.k8s.io", "validatingwebhookconfigurations")
ALLOW: Json = {"allowed": True}


class World:
    """A server with admission, and webhooks in this process that remember what they were asked."""

    def __init__(self) -> None:
        clock = WallClock()
        self.server = Server(clock)
        self.caller = AppCaller(clock)
        self.admission = Admission(self.server.parts, self.caller)
        self.admission.install()
        self.asked: list[tuple[str, Json]] = []
        self.answers: dict[str, Answer] = {}
        self.caller.register("hooks.test", self._respond)

    async def _respond(self, path: str, body: bytes) -> tuple[int, bytes]:
        name = path.strip("/")
        review = msgspec.json.decode(body)
        self.asked.append((name, review["request"]))
        answer = self.answers[name](review["request"])
        if isinstance(answer, tuple):
            return answer
        response = {"uid": review["request"]["uid"], **answer}
        return 200, msgspec.json.encode(
            {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        )

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    async def create(
        self, plural: str, obj: Json, ns: str = "", group: str = "", version: str = "v1", **options: Any
    ) -> Json:
        resource = self.server.registry.find(group, version, plural)
        assert resource is not None
        return await self.server.call("create", resource, ns, "", obj, options=Options(**options))

    async def hook(
        self, name: str, answer: Answer = lambda _: ALLOW, *, mutating: bool = False, **webhook: Any
    ) -> None:
        """A configuration `name` with one webhook of that name for ConfigMaps."""
        self.answers[name] = answer
        await self.configuration(name, {"name": f"{name}.example.com", **webhook}, mutating=mutating)

    async def configuration(self, name: str, *webhooks: Json, mutating: bool = False) -> None:
        plural = "mutatingwebhookconfigurations" if mutating else "validatingwebhookconfigurations"
        kind = "MutatingWebhookConfiguration" if mutating else "ValidatingWebhookConfiguration"
        complete = [
            {
                "clientConfig": {"url": f"https://hooks.test/{name}"},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["*"],
                        "resources": ["configmaps"],
                    }
                ],
                **w,
            }
            for w in webhooks
        ]
        await self.create(
            plural,
            {"kind": kind, "metadata": {"name": name}, "webhooks": complete},
            group="admissionregistration.k8s.io",
        )

    async def config_map(self, name: str = "x", labels: Json = None, **options: Any) -> Json:
        body = {"kind": "ConfigMap", "metadata": {"name": name, "labels": labels or {"own": "yes"}}}
        return await self.create("configmaps", body, "default", **options)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.create(
        "namespaces", {"kind": "Namespace", "metadata": {"name": "default", "labels": {"team": "a"}}}
    )
    yield world


def patching(*ops: Json) -> Answer:
    return lambda _: {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(msgspec.json.encode(list(ops))).decode(),
    }


def label(key: str, value: str = "yes") -> Answer:
    return patching({"op": "add", "path": f"/metadata/labels/{key}", "value": value})


async def refusal(world: World, **kwargs: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await world.config_map(**kwargs)
    return caught.value


async def test_a_patch_of_a_mutating_webhook_is_stored(world: World) -> None:
    await world.hook("m", label("seen"), mutating=True)
    stored = await world.config_map()
    assert stored["metadata"]["labels"] == {"own": "yes", "seen": "yes"}


async def test_mutating_webhooks_are_asked_by_the_name_of_their_configuration(world: World) -> None:
    await world.hook("b", label("b"), mutating=True)
    await world.hook("a", label("a"), mutating=True)
    await world.config_map()
    assert world.names == ["a", "b"]
    assert world.asked[1][1]["object"]["metadata"]["labels"] == {"own": "yes", "a": "yes"}


async def test_a_webhook_that_wants_it_is_asked_again_about_a_later_change(world: World) -> None:
    await world.hook("a", mutating=True, reinvocationPolicy="IfNeeded")
    await world.hook("b", label("b"), mutating=True, reinvocationPolicy="IfNeeded")
    await world.hook("c", mutating=True, reinvocationPolicy="IfNeeded")
    await world.config_map()
    assert world.names == ["a", "b", "c", "a"]


async def test_a_webhook_is_not_asked_again_unless_it_wants_to(world: World) -> None:
    await world.hook("a", mutating=True)
    await world.hook("b", label("b"), mutating=True)
    await world.config_map()
    assert world.names == ["a", "b"]


async def test_validating_webhooks_see_the_object_as_it_will_be_stored(world: World) -> None:
    await world.hook("v")
    await world.hook("m", label("seen"), mutating=True)
    stored = await world.config_map()
    seen = dict(world.asked)["v"]["object"]
    assert seen["metadata"]["labels"] == {"own": "yes", "seen": "yes"}
    assert seen["metadata"]["uid"] == stored["metadata"]["uid"]


async def test_validating_webhooks_are_asked_at_once(world: World) -> None:
    waiting = asyncio.Event()

    async def slow(path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/first":
            await asyncio.wait_for(waiting.wait(), 1)
        waiting.set()
        uid = msgspec.json.decode(body)["request"]["uid"]
        return 200, msgspec.json.encode({"response": {"uid": uid, "allowed": True}})

    await world.hook("first")
    await world.hook("second")
    world.caller.register("hooks.test", slow)
    assert await world.config_map()


@pytest.mark.parametrize(
    ("answer", "code", "reason", "message"),
    [
        (
            {"allowed": False},
            400,
            "",
            'admission webhook "v.example.com" denied the request without explanation',
        ),
        (
            {"allowed": False, "status": {"message": "because I say so"}},
            400,
            "",
            'admission webhook "v.example.com" denied the request: because I say so',
        ),
        (
            {"allowed": False, "status": {"reason": "OnlyReason"}},
            400,
            "OnlyReason",
            'admission webhook "v.example.com" denied the request: OnlyReason',
        ),
        (
            {"allowed": False, "status": {"message": "teapot", "code": 418, "reason": "Teapot"}},
            418,
            "Teapot",
            'admission webhook "v.example.com" denied the request: teapot',
        ),
    ],
)
async def test_a_denial_is_worded_as_kubernetes_words_it(
    world: World, answer: Json, code: int, reason: str, message: str
) -> None:
    await world.hook("v", lambda _: answer)
    error = await refusal(world)
    assert (error.code, error.reason, error.message) == (code, reason, message)


UNUSABLE = [
    ({"uid": "x", "allowed": True}, "received invalid webhook response: expected response.uid="),
    ((200, b"{}"), "received invalid webhook response: webhook response was absent"),
    ((200, b"hello"), "failed to call webhook: couldn't get version/kind; json parse error: "),
    (
        (500, b"oops"),
        'failed to call webhook: an error on the server ("unknown") has prevented the request from succeeding',
    ),
    ((404, b""), "failed to call webhook: the server could not find the requested resource"),
    (
        (200, b'{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}'),
        "failed to call webhook: converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
    ),
    (
        {"allowed": True, "patch": "W10=", "patchType": "JSONPatch"},
        "received invalid webhook response: validating webhook may not return response.patch",
    ),
]


@pytest.mark.parametrize(("answer", "message"), UNUSABLE)
async def test_an_unusable_answer_fails_the_request(world: World, answer: Json, message: str) -> None:
    await world.hook("v", lambda _: answer)
    error = await refusal(world)
    assert error.code == 500
    assert error.message.startswith(
        f'Internal error occurred: failed calling webhook "v.example.com": {message}'
    )


@pytest.mark.parametrize(("answer", "message"), UNUSABLE)
async def test_an_unusable_answer_is_ignored_if_the_policy_says_so(
    world: World, answer: Json, message: str
) -> None:
    await world.hook("v", lambda _: answer, failurePolicy="Ignore")
    assert await world.config_map()


async def test_a_patch_that_does_not_apply_fails_the_request_whatever_the_policy(world: World) -> None:
    await world.hook(
        "m", patching({"op": "replace", "path": "/nope/x", "value": 1}), mutating=True, failurePolicy="Ignore"
    )
    error = await refusal(world)
    assert error.code == 500
    assert error.message.startswith("Internal error occurred: ")


async def test_a_webhook_nobody_answers_for_is_named_with_its_url(world: World) -> None:
    await world.hook(
        "v", clientConfig={"service": {"namespace": "a", "name": "b", "path": "/p"}}, timeoutSeconds=7
    )
    error = await refusal(world)
    assert 'failed to call webhook: Post "https://b.a.svc:443/p?timeout=7s": ' in error.message


async def test_a_webhook_that_hangs_is_given_up_after_its_timeout(world: World) -> None:
    class Hanging:
        async def post(self, url: str, body: bytes, ca_bundle: bytes, timeout: float) -> tuple[int, bytes]:
            assert timeout == 2.0
            raise CallFailed("context deadline exceeded")

    world.admission.caller = Hanging()
    await world.hook("v", timeoutSeconds=2)
    error = await refusal(world)
    assert error.message == (
        'Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: '
        'Post "https://hooks.test/v?timeout=2s": context deadline exceeded'
    )


async def warned(world: World) -> list[str]:
    """The warnings of creating a ConfigMap over HTTP."""
    body = msgspec.json.encode({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})
    headers = {"content-type": "application/json"}
    path = "/api/v1/namespaces/default/configmaps"
    answer = await world.server.respond(Request("POST", path, (), headers, body, SYSTEM))
    return [value for name, value in answer.headers if name == "Warning"]


async def test_warnings_are_passed_on_once(world: World) -> None:
    await world.hook("v", lambda _: {"allowed": True, "warnings": ["w", "w", "x" * 300, ""]})
    await world.hook("w", lambda _: {"allowed": True, "warnings": ["w"]})
    assert await warned(world) == ['299 - "w"', f'299 - "{"x" * 300}"']


async def test_warnings_come_with_a_refusal_as_well(world: World) -> None:
    await world.hook("v", lambda _: {"allowed": False, "warnings": ["because"]})
    assert await warned(world) == ['299 - "because"']


def test_too_many_warnings_are_cut_and_then_dropped() -> None:
    many = [f"{i}{'x' * 400}" for i in range(30)]
    cut = fitted(many)
    assert set(map(len, cut)) == {256}
    assert sum(map(len, cut)) <= 4096 < sum(map(len, cut)) + 256


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"op": "replace", "path": "/nope/x", "value": 1},
            "replace operation does not apply: doc is missing path: /nope/x: missing value",
        ),
        ({"op": "bogus", "path": "/metadata/x", "value": 1}, "Unexpected kind: bogus"),
        ({"op": "test", "path": "/kind", "value": "X"}, "testing value /kind failed: test failed"),
    ],
)
async def test_a_patch_that_does_not_apply_is_worded_as_kubernetes_words_it(
    world: World, operation: Json, message: str
) -> None:
    await world.hook("m", patching(operation), mutating=True)
    error = await refusal(world)
    assert (error.code, error.message) == (500, f"Internal error occurred: {message}")


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ({"resources": ["*"]}, True),
        ({"resources": ["*/*"]}, True),
        ({"resources": ["configmaps/*"]}, True),
        ({"resources": ["secrets"]}, False),
        ({"resources": ["*/status"]}, False),
        ({"apiGroups": ["*"], "apiVersions": ["*"]}, True),
        ({"apiGroups": ["apps"]}, False),
        ({"operations": ["UPDATE", "DELETE"]}, False),
        ({"scope": "Namespaced"}, True),
        ({"scope": "Cluster"}, False),
    ],
)
async def test_rules_say_what_a_webhook_is_asked_about(world: World, rule: Json, asked: bool) -> None:
    complete = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
        **rule,
    }
    await world.hook("v", rules=[complete])
    await world.config_map()
    assert bool(world.asked) is asked


@pytest.mark.parametrize(
    ("selectors", "asked"),
    [
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False),
        ({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}, False),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"objectSelector": {"matchLabels": {"app": "db"}}}, False),
    ],
)
async def test_selectors_say_which_objects_a_webhook_is_asked_about(
    world: World, selectors: Json, asked: bool
) -> None:
    await world.hook("v", **selectors)
    await world.config_map(labels={"app": "web"})
    assert bool(world.asked) is asked


async def test_an_object_selector_looks_at_the_old_object_as_well(world: World) -> None:
    await world.config_map(labels={"app": "web"})
    await world.hook("v", objectSelector={"matchLabels": {"app": "web"}})
    resource = world.server.registry.find("", "v1", "configmaps")
    assert resource is not None
    await world.server.call("patch", resource, "default", "x", {"metadata": {"labels": {"app": None}}})
    assert world.names == ["v"]


async def test_a_webhook_for_another_version_sees_the_object_in_that_version(world: World) -> None:
    rule = {
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v1"],
        "operations": ["*"],
        "resources": ["horizontalpodautoscalers"],
    }
    await world.hook("v", rules=[rule])
    await world.hook("exact", rules=[rule], matchPolicy="Exact")
    body = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        },
    }
    await world.create("horizontalpodautoscalers", body, "default", "autoscaling", "v2")
    [(name, request)] = world.asked
    assert name == "v"
    assert request["object"]["apiVersion"] == "autoscaling/v1"
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")


async def test_match_conditions_keep_a_webhook_from_being_asked(world: World) -> None:
    await world.hook("v", matchConditions=[{"name": "c", "expression": "object.metadata.name == 'y'"}])
    await world.config_map("x")
    assert world.names == []
    await world.config_map("y")
    assert world.names == ["v"]


async def test_a_match_condition_that_fails_refuses_the_request(world: World) -> None:
    await world.hook("v", matchConditions=[{"name": "c", "expression": "object.metadata.nope == 'y'"}])
    error = await refusal(world)
    assert isinstance(error, Forbidden)
    assert error.message == (
        "configmaps \"x\" is forbidden: expression 'object.metadata.nope == 'y'' resulted in error: no such key: nope"
    )


async def test_a_failing_match_condition_is_passed_over_if_failures_are_ignored(world: World) -> None:
    condition = {"name": "c", "expression": "object.metadata.nope == 'y'"}
    await world.hook("v", failurePolicy="Ignore", matchConditions=[condition])
    assert await world.config_map()
    assert world.names == []


async def test_a_webhook_with_side_effects_refuses_a_dry_run(world: World) -> None:
    await world.hook("v")
    store = world.server.store
    [config] = store.list(*VALIDATING)
    entry = store.entry(*VALIDATING, "", "v")
    assert entry is not None
    # Such a configuration can only be an old one: v1 does not take it any more.
    store.update(
        *VALIDATING, {**config, "webhooks": [{**config["webhooks"][0], "sideEffects": "Unknown"}]}, entry
    )
    error = await refusal(world, dry_run=True)
    assert (error.code, error.message) == (400, 'admission webhook "v.example.com" does not support dry run')


async def test_a_dry_run_is_announced_to_the_webhook(world: World) -> None:
    await world.hook("v")
    await world.config_map(dry_run=True)
    assert world.asked[0][1]["dryRun"] is True


async def test_configurations_of_webhooks_are_never_shown_to_webhooks(world: World) -> None:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    await world.hook("v", lambda _: {"allowed": False}, rules=[everything])
    await world.hook("another")
    assert world.names == []


async def test_a_delete_shows_the_object_as_the_old_one(world: World) -> None:
    await world.config_map()
    await world.hook("v")
    resource = world.server.registry.find("", "v1", "configmaps")
    assert resource is not None
    await world.server.call("delete", resource, "default", "x")
    request = world.asked[0][1]
    assert (request["operation"], request["object"], request["oldObject"]["metadata"]["name"]) == (
        "DELETE",
        None,
        "x",
    )


async def test_scaling_shows_a_scale_to_webhooks_and_takes_their_patch(world: World) -> None:
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["deployments/scale"],
    }
    await world.hook(
        "m", patching({"op": "replace", "path": "/spec/replicas", "value": 7}), mutating=True, rules=[rule]
    )
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    await world.create("deployments", body, "default", "apps")
    resource = world.server.registry.find("apps", "v1", "deployments")
    assert resource is not None
    await world.server.call("patch", resource, "default", "d", {"spec": {"replicas": 3}}, subresource="scale")
    request = world.asked[0][1]
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert request["object"]["spec"]["replicas"] == 3
    stored = await world.server.call("get", resource, "default", "d")
    assert stored["spec"]["replicas"] == 7


async def test_options_of_a_request_are_shown_whatever_verb_carried_them(world: World) -> None:
    await world.hook("v")
    resource = world.server.registry.find("", "v1", "configmaps")
    assert resource is not None
    await world.config_map(field_manager="me")
    await world.server.call(
        "patch", resource, "default", "x", {"data": {"a": "b"}}, options=Options(field_manager="you")
    )
    await world.server.call("delete", resource, "default", "x", options=Options(propagation="Orphan"))
    head = {"apiVersion": "meta.k8s.io/v1"}
    assert [request["options"] for _, request in world.asked] == [
        {**head, "kind": "CreateOptions", "fieldManager": "me"},
        {**head, "kind": "UpdateOptions", "fieldManager": "you"},
        {**head, "kind": "DeleteOptions", "propagationPolicy": "Orphan"},
    ]


async def test_a_namespace_is_shown_as_in_itself(world: World) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"]}
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "new"}}}
    await world.hook("v", rules=[rule], **selector)
    labels = {"kubernetes.io/metadata.name": "new"}
    await world.create("namespaces", {"kind": "Namespace", "metadata": {"name": "new", "labels": labels}})
    await world.create("namespaces", {"kind": "Namespace", "metadata": {"name": "old"}})
    assert [request["namespace"] for _, request in world.asked] == ["new"]
