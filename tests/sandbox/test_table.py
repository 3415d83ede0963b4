"""What kubectl prints: columns and cells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from server_stage import MAPS, PODS, TABLE, Client, a_map, a_pod, play

from kruise_rollouts.sandbox.resources import Column, Resource, built_in
from kruise_rollouts.sandbox.tables.cells import duration
from kruise_rollouts.sandbox.tables.table import cells_of, columns_of, find

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def before(**ago: float) -> str:
    return (NOW - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cells(group: str, plural: str, obj: dict[str, Any]) -> list[Any]:
    resource = next(r for r in built_in() if (r.group, r.plural) == (group, plural))
    meta = {"name": "x", "creationTimestamp": before(minutes=5), **obj.get("metadata", {})}
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj, "metadata": meta}
    return list(cells_of(resource, body, NOW))


def test_every_kind_fills_every_column_even_of_an_empty_object() -> None:
    for resource in built_in():
        if "list" not in resource.verbs:
            continue
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}}
        assert len(cells_of(resource, body, NOW)) == len(columns_of(resource)), resource.group_resource


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "<invalid>"), (0, "0s"), (119, "119s"), (120, "2m"), (135, "2m15s"), (600, "10m"), (10799, "179m"), (10800, "3h"),
     (12000, "3h20m"), (28800, "8h"), (172799, "47h"), (172800, "2d"), (180000, "2d2h"), (691200, "8d"),
     (63072000, "2y"), (63158400, "2y1d"), (252288000, "8y")],
)  # fmt: skip
def test_ages_are_short(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


def a_status(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = [{"name": f"c{i}", **c} for i, c in enumerate(containers)]
    return {"status": {"phase": "Running", "containerStatuses": named, **more}, "spec": {"containers": named}}


RUNNING = {"ready": True, "state": {"running": {}}, "restartCount": 0}


@pytest.mark.parametrize(
    ("pod", "shown"),
    [
        (a_status(RUNNING, RUNNING), ["2/2", "Running", "0"]),
        (a_status(RUNNING, {"state": {"waiting": {"reason": "ImagePullBackOff"}}}), ["1/2", "ImagePullBackOff", "0"]),
        (a_status({"state": {"terminated": {"exitCode": 3}}}), ["0/1", "ExitCode:3", "0"]),
        (a_status({"state": {"terminated": {"reason": "Completed"}}}, phase="Succeeded"), ["0/1", "Completed", "0"]),
        (
            a_status({**RUNNING, "restartCount": 2, "lastState": {"terminated": {"finishedAt": before(minutes=2)}}}),
            ["1/1", "Running", "2 (2m ago)"],
        ),
        ({"spec": {"containers": [{}]}, "status": {"phase": "Pending"}}, ["0/1", "Pending", "0"]),
        (
            {
                "spec": {"containers": [{}], "initContainers": [{"name": "i"}]},
                "status": {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]},
            },
            ["0/1", "Init:0/1", "0"],
        ),
        ({**a_status(RUNNING), "metadata": {"deletionTimestamp": before(seconds=1)}}, ["1/1", "Terminating", "0"]),
    ],
)  # fmt: skip
def test_a_pod_says_what_it_is_up_to(pod: dict[str, Any], shown: list[str]) -> None:
    assert cells("", "pods", pod)[1:4] == shown


def test_some_rows() -> None:
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}},
    }
    status = {"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}
    assert cells("apps", "deployments", {"spec": spec, "status": status}) == [
        "x",
        "2/3",
        1,
        2,
        "5m",
        "c",
        "i",
        "a=b",
    ]
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 81, "protocol": "UDP"}]
    service = {"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": ports, "selector": {"a": "b"}}}
    assert cells("", "services", service) == [
        "x",
        "NodePort",
        "10.0.0.1",
        "<none>",
        "80:30080/TCP,81/UDP",
        "5m",
        "a=b",
    ]
    conditions = [{"type": "Ready", "status": "True"}]
    node = {"spec": {"unschedulable": True}, "status": {"conditions": conditions}}
    assert cells("", "nodes", node)[:3] == ["x", "Ready,SchedulingDisabled", "<none>"]
    budget = {"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}}
    assert cells("policy", "poddisruptionbudgets", budget) == ["x", "50%", "N/A", 1, "5m"]


def test_custom_columns_follow_their_paths() -> None:
    columns = (
        Column("Phase", json_path=".status.phase"),
        Column("Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
        Column("First", "integer", json_path=".spec.steps[0].weight"),
        Column("Since", "date", json_path=".metadata.creationTimestamp"),
        Column("Absent", json_path=".spec.nothing.there"),
        Column("Dotted", json_path=".metadata.labels.a\\.b/c"),
    )
    resource = Resource(
        "x.io", "v1", "foos", "foo", "Foo", "FooList", True, ("list",), columns=columns, custom=True
    )
    obj = {
        "metadata": {"name": "n", "creationTimestamp": before(hours=3), "labels": {"a.b/c": "d"}},
        "spec": {"steps": [{"weight": 20}]},
        "status": {
            "phase": "Healthy",
            "conditions": [{"type": "Other"}, {"type": "Ready", "status": "True"}],
        },
    }
    assert cells_of(resource, obj, NOW) == ["n", "Healthy", "True", 20, "3h", None, "d"]
    assert find(".spec.steps[*].weight", obj) == [20]


def test_a_table_holds_as_much_of_the_object_as_is_asked_for() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a", x="1"))
        for include, kind in (("", "PartialObjectMetadata"), ("Object", "ConfigMap"), ("None", None)):
            table = (await client.get(f"{MAPS}?includeObject={include}", accept=TABLE)).body
            assert (table["kind"], table["rows"][0]["cells"][:2]) == ("Table", ["a", 1])
            assert (table["rows"][0]["object"] or {}).get("kind") == kind
        assert (await client.get(f"{MAPS}?includeObject=Foo", accept=TABLE)).code == 400
        one = (await client.get(f"{MAPS}/a", accept=TABLE)).body
        assert [c["name"] for c in one["columnDefinitions"]] == ["Name", "Data", "Age"]

    play(story)


def test_wide_columns_have_a_priority() -> None:
    async def story(client: Client) -> None:
        await client.made(PODS, a_pod())
        table = (await client.get(PODS, accept=TABLE)).body
        wide = [c["name"] for c in table["columnDefinitions"] if c["priority"]]
        assert wide == ["IP", "Node", "Nominated Node", "Readiness Gates"]

    play(story)
