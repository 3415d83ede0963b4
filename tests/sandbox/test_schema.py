"""Schemas of built-in and custom kinds."""

from __future__ import annotations

from kruise_rollouts.sandbox.schemas import schema


def test_a_built_in_kind_knows_its_lists_and_merge_keys() -> None:
    deployment = schema.schema_of("apps", "v1", "Deployment")
    assert deployment is not None
    ports = node_at(deployment, "spec.template.spec.containers.[].ports")
    assert (ports.list_type, ports.list_keys) == ("map", ("containerPort", "protocol"))
    assert (ports.strategies, ports.merge_key) == (("merge",), "containerPort")
    assert node_at(ports, "[].protocol").default == "TCP"
    assert node_at(deployment, "spec.strategy").strategies == ("retainKeys",)
    assert node_at(deployment, "spec.selector").atomic
    assert deployment.child("nope") is None


def test_a_custom_kind_has_the_metadata_of_every_object() -> None:
    node = schema.custom_schema({"type": "object", "properties": {"spec": {"type": "object"}}})
    assert node_at(node, "metadata.ownerReferences").list_keys == ("uid",)
    assert node_at(node, "metadata.labels.anything").type == "string"


def test_a_kind_that_no_server_knows_has_no_schema() -> None:
    assert schema.schema_of("apps", "v1", "Pod") is None


def node_at(node: schema.Node, path: str) -> schema.Node:
    for part in path.split("."):
        found = node.items if part == "[]" else node.child(part)
        assert found is not None, part
        node = found
    return node
