"""The official Python client, typed and dynamic, drives a sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .things import DEPLOYMENT, ROLLOUT, custom, definition, image

kubernetes = pytest.importorskip("kubernetes")
from kubernetes import client, dynamic, watch  # noqa: E402
from kubernetes.client.rest import ApiException  # noqa: E402
from kubernetes.stream import stream  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.kubectl]
APPLY = "application/apply-patch+yaml"
GROUP, VERSION = "clients.example.com", "v1"


@pytest.fixture
def api(config: Path) -> Any:
    return kubernetes.config.new_client_from_config(str(config))


def until(events: Any, done: Any) -> Any:
    """The first event for which `done` holds; watching ends then."""
    for event in events:
        if done(event):
            return event
    raise AssertionError("the watch ended without it")


def emptied(listing: Any, ns: str) -> None:
    """Returns when the one object that may be there is gone."""
    left = listing(ns)
    if left.items:
        events = watch.Watch().stream(
            listing, ns, resource_version=left.metadata.resource_version, timeout_seconds=30
        )
        until(events, lambda e: e["type"] == "DELETED")


def test_a_deployment_is_made_watched_patched_scaled_and_deleted(api: Any, ns: str) -> None:
    apps = client.AppsV1Api(api)
    made = apps.create_namespaced_deployment(ns, DEPLOYMENT)
    assert (made.spec.strategy.type, made.status.replicas) == ("RollingUpdate", None)
    ready = until(
        watch.Watch().stream(apps.list_namespaced_deployment, ns, timeout_seconds=30),
        lambda e: e["object"].status.ready_replicas == 4,
    )
    assert ready["object"].metadata.uid == made.metadata.uid
    patched = apps.patch_namespaced_deployment("web", ns, image("2"))
    assert [c.image for c in patched.spec.template.spec.containers] == ["web:2"]
    scale = apps.patch_namespaced_deployment_scale("web", ns, {"spec": {"replicas": 2}})
    assert scale.spec.replicas == 2
    until(
        watch.Watch().stream(apps.list_namespaced_deployment, ns, timeout_seconds=30),
        lambda e: e["object"].status.updated_replicas == e["object"].status.replicas == 2,
    )
    replaced = apps.read_namespaced_deployment("web", ns)
    replaced.spec.min_ready_seconds = 1
    assert apps.replace_namespaced_deployment("web", ns, replaced).metadata.generation == 4
    with pytest.raises(ApiException) as stale:
        apps.replace_namespaced_deployment("web", ns, made)
    assert (stale.value.status, stale.value.reason) == (409, "Conflict")
    apps.delete_namespaced_deployment("web", ns, propagation_policy="Foreground")
    emptied(apps.list_namespaced_deployment, ns)
    assert client.CoreV1Api(api).list_namespaced_pod(ns).items == []


def test_pages_selectors_and_logs_are_read(api: Any, ns: str) -> None:
    core = client.CoreV1Api(api)
    for number in range(5):
        labels = {"odd": str(number % 2)}
        core.create_namespaced_config_map(ns, {"metadata": {"name": f"m{number}", "labels": labels}})
    page = core.list_namespaced_config_map(ns, limit=4)
    rest = core.list_namespaced_config_map(ns, limit=4, _continue=page.metadata._continue)
    names = [m.metadata.name for m in (*page.items, *rest.items)]
    assert [n for n in names if n.startswith("m")] == [f"m{n}" for n in range(5)]
    assert len(core.list_namespaced_config_map(ns, label_selector="odd=1").items) == 2
    core.create_namespaced_pod(
        ns, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    until(
        watch.Watch().stream(core.list_namespaced_pod, ns, timeout_seconds=30),
        lambda e: e["object"].status.phase == "Running",
    )
    assert "nothing runs" in core.read_namespaced_pod_log("p", ns)
    with pytest.raises(ApiException) as refused:
        stream(core.connect_get_namespaced_pod_exec, "p", ns, command=["date"], stdout=True)
    assert "501" in str(refused.value)


def test_an_applied_deployment_keeps_what_others_own(api: Any, ns: str) -> None:
    apps = client.AppsV1Api(api)

    def apply(body: dict[str, Any], manager: str, force: bool = False) -> Any:
        return apps.patch_namespaced_deployment(
            "web", ns, body, field_manager=manager, force=force, _content_type=APPLY
        )

    head = {"apiVersion": "apps/v1", "kind": "Deployment"}
    assert apply(DEPLOYMENT, "team").spec.replicas == 4
    with pytest.raises(ApiException) as conflict:
        apply({**head, "spec": {"replicas": 2}}, "scaler")
    assert conflict.value.status == 409 and "FieldManagerConflict" in conflict.value.body
    assert apply({**head, "spec": {"replicas": 2}}, "scaler", force=True).spec.replicas == 2
    spec = {k: v for k, v in DEPLOYMENT["spec"].items() if k != "replicas"}
    assert apply({**DEPLOYMENT, "spec": spec}, "team").spec.replicas == 2
    owners = {f.manager for f in apps.read_namespaced_deployment("web", ns).metadata.managed_fields}
    assert {"team", "scaler"} <= owners


def test_a_kind_of_ones_own_is_defined_used_and_withdrawn(api: Any, ns: str) -> None:
    extensions, customs = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
    extensions.create_custom_resource_definition(definition("boxes"))
    until(
        watch.Watch().stream(extensions.list_custom_resource_definition, timeout_seconds=30),
        lambda e: (
            e["object"].metadata.name.startswith("boxes")
            and any(
                c.type == "Established" and c.status == "True" for c in e["object"].status.conditions or ()
            )
        ),
    )
    where = (GROUP, VERSION, ns, "boxes")
    customs.create_namespaced_custom_object(*where, custom("boxes"))
    with pytest.raises(ApiException) as refused:
        customs.create_namespaced_custom_object(*where, custom("boxes", "small", 0))
    assert "should be greater than or equal to 1" in refused.value.body
    customs.patch_namespaced_custom_object(*where, "one", {"spec": {"size": 5}})
    event = until(
        watch.Watch().stream(customs.list_namespaced_custom_object, *where, timeout_seconds=30),
        lambda e: True,
    )
    assert event["object"]["spec"] == {"size": 5}
    extensions.delete_custom_resource_definition("boxes.clients.example.com")
    with pytest.raises(ApiException) as gone:
        until(iter(lambda: customs.list_namespaced_custom_object(*where), None), lambda e: False)
    assert gone.value.status == 404


def test_the_dynamic_client_releases_a_deployment(api: Any, ns: str) -> None:
    found = dynamic.DynamicClient(api)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    rollouts = found.resources.get(api_version="rollouts.kruise.io/v1beta1", kind="Rollout")
    deployments.create(body=DEPLOYMENT, namespace=ns)
    rollouts.create(body=ROLLOUT, namespace=ns)
    phases = (e["object"] for e in rollouts.watch(namespace=ns, timeout=60))
    assert until(phases, lambda r: (r.status or {}).get("phase") == "Healthy")
    deployments.patch(
        body=image("2"), name="web", namespace=ns, content_type="application/strategic-merge-patch+json"
    )
    phases = (e["object"] for e in rollouts.watch(namespace=ns, timeout=60))
    paused = until(phases, lambda r: (r.status.canaryStatus or {}).get("currentStepState") == "StepPaused")
    assert paused.status.currentStepIndex == 1
    assert deployments.get(name="web", namespace=ns).status.updatedReplicas == 1
    approval = {"status": {"canaryStatus": {"currentStepState": "StepReady"}}}
    rollouts.status.patch(
        body=approval, name="web", namespace=ns, content_type="application/merge-patch+json"
    )
    phases = (e["object"] for e in rollouts.watch(namespace=ns, timeout=60))
    assert until(phases, lambda r: r.status.phase == "Healthy" and r.status.currentStepState == "Completed")
    assert deployments.get(name="web", namespace=ns).status.updatedReplicas == 4
    applied = {**ROLLOUT, "metadata": {"name": "web", "labels": {"of": "team"}}}
    assert (
        rollouts.server_side_apply(
            body=applied, namespace=ns, field_manager="team", force_conflicts=True
        ).metadata.labels["of"]
        == "team"
    )
    rollouts.delete(name="web", namespace=ns)


def test_rights_are_asked_for_and_tokens_are_made(api: Any, ns: str) -> None:
    core, rights = client.CoreV1Api(api), client.AuthorizationV1Api(api)
    attributes = {"resource": "pods", "verb": "list", "namespace": ns}
    review = rights.create_self_subject_access_review({"spec": {"resourceAttributes": attributes}})
    assert review.status.allowed
    core.create_namespaced_service_account(ns, {"metadata": {"name": "robot"}})
    token = core.create_namespaced_service_account_token("robot", ns, {"spec": {"expirationSeconds": 600}})
    who = client.AuthenticationV1Api(api).create_token_review({"spec": {"token": token.status.token}})
    assert who.status.user.username == f"system:serviceaccount:{ns}:robot"
    assert client.VersionApi(api).get_code().major == "1"
