"""ValidatingAdmissionPolicies refuse and warn in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.admission.admission import Admission
from kruise_rollouts.sandbox.request import SYSTEM, Call, Options
from kruise_rollouts.sandbox.server import Server

Json = Any
GROUP = "admissionregistration.k8s.io"


class World:
    def __init__(self) -> None:
        self.server = Server(WallClock())
        Admission(self.server.parts).install()

    async def create(self, plural: str, obj: Json, ns: str = "", group: str = "") -> list[str]:
        """Warnings."""
        resource = self.server.registry.find(group, "v1", plural)
        assert resource is not None
        call = Call("create", resource, ns, "", "", Options(), SYSTEM, obj)
        await self.server.run(call)
        return call.warnings

    async def policy(self, *validations: Json, binding: Json = None, **spec: Json) -> None:
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["configmaps"],
        }
        constraints = {"resourceRules": [rule]}
        policy = {"matchConstraints": constraints, "validations": list(validations), **spec}
        await self.create(
            "validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": policy}, group=GROUP
        )
        bound = {"policyName": "p", "validationActions": ["Deny"], **(binding or {})}
        await self.create(
            "validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": bound}, group=GROUP
        )

    async def config_map(self, **data: str) -> list[str]:
        body = {"kind": "ConfigMap", "metadata": {"name": "x", "labels": {"app": "web"}}, "data": data}
        return await self.create("configmaps", body, "default")


@pytest.fixture
async def world() -> World:
    world = World()
    await world.create("namespaces", {"metadata": {"name": "default", "labels": {"team": "a"}}})
    return world


async def refused(world: World, **data: str) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        await world.config_map(**data)
    error = caught.value
    prefix = "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
    assert error.message.startswith(prefix)
    return error.code, error.reason, error.message.removeprefix(prefix)


SMALL = {"expression": "size(object.data.a) > 5"}


async def test_an_expression_that_does_not_hold_refuses(world: World) -> None:
    await world.policy(SMALL)
    assert await refused(world, a="x") == (422, "Invalid", "failed expression: size(object.data.a) > 5")
    assert await world.config_map(a="x" * 6) == []


async def test_a_policy_says_what_it_was_told_to_say(world: World) -> None:
    await world.policy({**SMALL, "message": "too small", "reason": "Forbidden"})
    assert await refused(world, a="x") == (403, "Forbidden", "too small")


async def test_a_message_may_be_an_expression_on_variables(world: World) -> None:
    await world.policy(
        {"expression": "variables.size > 5", "messageExpression": "'size is ' + string(variables.size)"},
        variables=[{"name": "size", "expression": "size(object.data.a)"}],
    )
    assert await refused(world, a="xx") == (422, "Invalid", "size is 2")


async def test_an_expression_that_fails_refuses_unless_failures_are_ignored(world: World) -> None:
    await world.policy({"expression": "object.data.zz == ''"})
    expected = "expression 'object.data.zz == ''' resulted in error: no such key: zz"
    assert await refused(world, a="x") == (422, "Invalid", expected)
    ignoring = World()
    await ignoring.create("namespaces", {"metadata": {"name": "default"}})
    await ignoring.policy({"expression": "object.data.zz == ''"}, failurePolicy="Ignore")
    assert await ignoring.config_map(a="x") == []


async def test_a_binding_may_warn_only(world: World) -> None:
    await world.policy({**SMALL, "message": "hm"}, binding={"validationActions": ["Warn"]})
    assert await world.config_map(a="x") == [
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': hm"
    ]


async def test_a_policy_without_a_binding_does_nothing(world: World) -> None:
    await world.policy(SMALL, binding={"policyName": "another"})
    assert await world.config_map(a="x") == []


@pytest.mark.parametrize(
    "narrower",
    [
        {"namespaceSelector": {"matchLabels": {"team": "b"}}},
        {"objectSelector": {"matchLabels": {"app": "db"}}},
        {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ]
        },
    ],
)
async def test_a_binding_may_be_narrower_than_its_policy(world: World, narrower: Json) -> None:
    await world.policy(SMALL, binding={"matchResources": narrower})
    assert await world.config_map(a="x") == []


async def test_a_condition_keeps_a_policy_from_being_asked(world: World) -> None:
    await world.policy(SMALL, matchConditions=[{"name": "c", "expression": "request.namespace != 'default'"}])
    assert await world.config_map(a="x") == []


async def test_parameters_come_from_another_object(world: World) -> None:
    await world.create("secrets", {"metadata": {"name": "limits"}, "data": {"max": "Mw=="}}, "default")
    await world.policy(
        {"expression": "size(object.data.a) < size(params.data.max)"},
        paramKind={"apiVersion": "v1", "kind": "Secret"},
        binding={"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}},
    )
    assert await world.config_map(a="xxx") == []


async def test_parameters_that_are_missing_refuse_if_they_must_be_there(world: World) -> None:
    await world.policy(
        {"expression": "true"},
        paramKind={"apiVersion": "v1", "kind": "Secret"},
        binding={"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}},
    )
    assert (await refused(world, a="x"))[2] == (
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    )


async def test_the_namespace_is_there_to_be_asked_about(world: World) -> None:
    await world.policy({"expression": "namespaceObject.metadata.labels.team == 'b'", "message": "team"})
    assert (await refused(world, a="x"))[2] == "team"
