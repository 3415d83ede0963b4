"""Which requests the API server sends to our webhooks, and how it reaches them.

The rules are as narrow as they can be: an update that neither changes a pod template nor concerns a release never
leaves the API server, so neither scaling nor unmanaged workloads depend on us. What is answered is webhooks.py.
"""

from __future__ import annotations

import base64

from msgspec import Struct

from kruise_rollouts.api import keys
from kruise_rollouts.kube.effects import Json, JsonObject

from .options import DEFAULT_NAMESPACE, WebhookOptions
from .webhooks import CONVERT_PATH, DEPLOYMENT_PATH, ROLLOUT_PATH

MUTATING = "kruise-rollout-mutating-webhook-configuration"
VALIDATING = "kruise-rollout-validating-webhook-configuration"
SECONDS_MANAGED = 10
SECONDS_UNMANAGED = (
    3  # while no replica answers, an update of an unmanaged Deployment waits that long, then passes
)

# In the CEL of Kubernetes 1.28, which knows no optionals.
_HAS = "has({0}.metadata.{1}) && '{2}' in {0}.metadata.{1}"
_MARKED, _LABELLED = (
    " || ".join(f"({_HAS.format(which, where, key)})" for which in ("oldObject", "object"))
    for where, key in (("annotations", keys.IN_PROGRESSING), ("labels", keys.WORKLOAD_TYPE))
)
_CONCERNS_A_RELEASE: JsonObject = {
    "name": "template-or-release",
    "expression": f"object.spec.template != oldObject.spec.template || {_MARKED}",
}
_NOT_OURS: JsonObject = {
    "name": "not-our-own-write",
    "expression": "!has(request.options.fieldManager) || request.options.fieldManager != "
    f"'{keys.FIELD_MANAGER}'",
}
_UNLABELLED: JsonObject = {
    "name": "not-labelled",  # or mdeployment.kb.io asks us about the same update as well
    "expression": f"!({_LABELLED})",
}


class Target(Struct, frozen=True):
    """How the API server reaches our webhooks."""

    namespace: str = DEFAULT_NAMESPACE
    service: str = "kruise-rollout-webhook-service"
    url: str = ""  # not "": "https://host:port", used instead of the Service
    ca_bundle: str = ""  # base64 of PEM; "": not known yet

    def client(self, path: str) -> JsonObject:
        """The WebhookClientConfig for `path`."""
        ca: JsonObject = {"caBundle": self.ca_bundle} if self.ca_bundle else {}
        if self.url:
            return {"url": self.url + path, **ca}
        return {
            "service": {"namespace": self.namespace, "name": self.service, "path": path, "port": 443},
            **ca,
        }


def target_of(namespace: str, options: WebhookOptions, ca: bytes = b"") -> Target:
    """What the environment says. `ca`: PEM."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"https://{host}:{options.port}" if options.host else ""
    return Target(namespace, options.service, url, base64.b64encode(ca).decode())


def webhook_configurations(target: Target) -> tuple[JsonObject, JsonObject]:
    """The mutating and the validating configuration."""
    namespaces: JsonObject = {
        "matchExpressions": [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": sorted({"kube-system", target.namespace}),
            }
        ]
    }
    deployments = _rule("apps", ["v1"], "deployments", ["UPDATE"])
    managed = {
        **_webhook("mdeployment.kb.io", target.client(DEPLOYMENT_PATH), deployments),
        "failurePolicy": "Fail",
        "timeoutSeconds": SECONDS_MANAGED,
        "namespaceSelector": namespaces,
        "objectSelector": {"matchExpressions": [{"key": keys.WORKLOAD_TYPE, "operator": "Exists"}]},
        "matchConditions": [_NOT_OURS, _CONCERNS_A_RELEASE],
        "reinvocationPolicy": "Never",
    }
    # The label that the first one selects by is put on by the controller, a moment after the Rollout is created. A
    # release in that moment is caught here; nobody is kept from updating a workload that no Rollout refers to.
    unlabelled = {
        **_webhook("mdeployment-unlabelled.kb.io", target.client(DEPLOYMENT_PATH), deployments),
        "failurePolicy": "Ignore",
        "timeoutSeconds": SECONDS_UNMANAGED,
        "namespaceSelector": namespaces,
        "objectSelector": {},
        "matchConditions": [_UNLABELLED, _NOT_OURS, _CONCERNS_A_RELEASE],
        "reinvocationPolicy": "Never",
    }
    rollouts = {
        **_webhook(
            "vrollout.kb.io",
            target.client(ROLLOUT_PATH),
            _rule(keys.GROUP, ["v1alpha1", "v1beta1"], "rollouts", ["CREATE", "UPDATE"]),
        ),
        "failurePolicy": "Fail",
        "timeoutSeconds": SECONDS_MANAGED,
        "namespaceSelector": {},
        "objectSelector": {},
    }
    return _configuration("Mutating", MUTATING, managed, unlabelled), _configuration(
        "Validating", VALIDATING, rollouts
    )


def conversion_client(target: Target) -> JsonObject:
    """For spec.conversion of the CRDs."""
    return target.client(CONVERT_PATH)


def _rule(group: str, versions: list[str], resource: str, operations: list[str]) -> JsonObject:
    return {
        "apiGroups": [group],
        "apiVersions": versions,
        "operations": operations,
        "resources": [resource],
        "scope": "Namespaced",
    }


def _webhook(name: str, client: JsonObject, rule: JsonObject) -> JsonObject:
    return {
        "name": name,
        "clientConfig": client,
        "rules": [rule],
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1", "v1beta1"],
    }


def _configuration(kind: str, name: str, *webhooks: Json) -> JsonObject:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": list(webhooks),
    }
