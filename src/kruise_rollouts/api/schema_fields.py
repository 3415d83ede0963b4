"""What the types of a field cannot say: its description, whether it is required, its default and its limits.

Looked up by Struct and wire name; "" is the Struct itself. Limits are the published ones: a stricter schema would
make objects that people have impossible to update. The words are shown by `kubectl explain`.
"""

from __future__ import annotations

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

from . import rollouts_v1alpha1 as v1alpha1
from . import rollouts_v1beta1 as v1beta1


class Field(Struct, frozen=True):
    text: str = ""
    required: bool = False
    extra: JsonObject = {}  # laid over the schema of the type


def field_of(struct: type[Struct], name: str) -> Field:
    """What is known of field `name` of `struct`, or of the Struct whose fields mean the same."""
    while True:
        found = FIELDS.get(struct, {}).get(name)
        if found is not None:
            return found
        if struct not in _LIKE:
            return Field()
        struct = _LIKE[struct]


def _must(text: str, **extra: object) -> Field:
    return Field(text, True, dict(extra))


def _may(text: str, **extra: object) -> Field:
    return Field(text, False, dict(extra))


_TOKEN = "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$"  # a header name of RFC 9110
_NAME = {"minLength": 1, "maxLength": 256, "pattern": _TOKEN}
_BY_NAME: JsonObject = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_PLAIN_PATH = "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
_LITERAL = "self.type in ['Exact', 'PathPrefix']"


def _path_rule(rule: str, message: str) -> JsonObject:
    return {"rule": f"({_LITERAL}) ? {rule} : true", "message": message}


_PATH_RULES: list[JsonObject] = [
    _path_rule("self.value.startsWith('/')", "an Exact or PathPrefix path must begin with '/'"),
    *(
        _path_rule(
            f"!self.value.contains('{part}')", f"an Exact or PathPrefix path must not contain '{part}'"
        )
        for part in ("//", "/./", "/../", "%2f", "%2F", "#")
    ),
    *(
        _path_rule(
            f"!self.value.endsWith('{part}')", f"an Exact or PathPrefix path must not end with '{part}'"
        )
        for part in ("/..", "/.")
    ),
    {
        "rule": f"{_LITERAL} || self.type == 'RegularExpression'",
        "message": "type must be Exact, PathPrefix or RegularExpression",
    },
    _path_rule(
        f'self.value.matches(r"""{_PLAIN_PATH}""")',
        f"an Exact or PathPrefix path must match {_PLAIN_PATH}",
    ),
]

_STEPS = _may(
    "The steps of a release, in order. Each adds pods of the new version, shifts traffic, then pauses.",
    maxItems=50,
)
_ROUTINGS = _may(
    "What carries the traffic of the workload; at most one entry. Absent: pods are released, traffic is not."
)
_THRESHOLD = _may(
    "How many updated pods may be unready without stopping a step: a number or a percentage. Absent: none."
)
_NO_CANARY_SERVICE = _may("Do not create the Service <service>-canary; the stable Service takes all traffic.")
_ROUTING_REF = _may("Name of a TrafficRouting in the same namespace that is in use while a release goes on.")

FIELDS: dict[type[Struct], dict[str, Field]] = {
    v1beta1.ObjectRef: {
        "apiVersion": _must("API group and version of the object, for example apps/v1."),
        "kind": _must("Kind of the object."),
        "name": _must("Name of the object, in the same namespace."),
    },
    v1beta1.IngressTrafficRouting: {
        "": _may("An Ingress that routes to the Service; a second one, <name>-canary, is made beside it."),
        "classType": _may("Dialect of the Ingress controller: nginx (the default), aliyun-alb, higress, mse, or your own."),
        "name": _must("Name of the Ingress."),
    },
    v1beta1.GatewayTrafficRouting: {
        "": _may("A Gateway API route that has the Service among its backends."),
        "httpRouteName": _may("Name of the HTTPRoute."),
    },
    v1beta1.TrafficRoutingRef: {
        "service": _must("Name of the Service that selects the pods of the workload."),
        "gracePeriodSeconds": _may(
            "Seconds to let a change of traffic take effect before the next one. 0: do not wait.", default=3
        ),
        "ingress": _may("An Ingress that routes to the Service; a second one, <name>-canary, is made beside it."),
        "gateway": _may("A Gateway API route that has the Service among its backends."),
        "customNetworkRefs": _may("Other objects that route to the Service, such as an Istio VirtualService."),
    },
    v1beta1.PodTemplateMetadataPatch: {
        "": _may("Labels and annotations that only the pods of the canary Deployment get."),
        "annotations": _may("Annotations to add."),
        "labels": _may("Labels to add."),
    },
    v1beta1.Header: {
        "name": _must("Name of the header; case does not matter.", **_NAME),
        "value": _must("Value of the header.", minLength=1, maxLength=4096),
    },
    v1beta1.HeaderFilter: {
        "": _may("Changes to the headers of requests that go to the new version."),
        "set": _may("Headers to set, replacing what the request has.", maxItems=16, **_BY_NAME),
        "add": _may("Headers to add to what the request has.", maxItems=16, **_BY_NAME),
        "remove": _may("Names of headers to remove.", maxItems=16, **{"x-kubernetes-list-type": "set"}),
    },
    v1beta1.ValueMatch: {
        "type": _may("How the value is compared.", default="Exact", enum=["Exact", "RegularExpression"]),
        "name": _must("Name to look for.", **_NAME),
        "value": _must("Value it must have.", minLength=1, maxLength=4096),
    },
    v1beta1.PathMatch: {
        "": Field(
            "The path of a request.",
            extra={"x-kubernetes-validations": _PATH_RULES},
        ),
        "type": _may(
            "How the path is compared.", default="PathPrefix", enum=["Exact", "PathPrefix", "RegularExpression"]
        ),
        "value": _may("The path, prefix or expression.", default="/", maxLength=1024),
    },
    v1beta1.HttpRouteMatch: {
        "": _may("Conditions on a request; all of them must hold."),
        "path": _may("The path of the request."),
        "headers": _may("Headers that the request must have.", maxItems=16, **_BY_NAME),
        "queryParams": _may(
            "Query parameters that the request must have.",
            maxItems=16,
            items={"properties": {"value": {"maxLength": 1024}}},
            **_BY_NAME,
        ),
    },
    v1beta1.Pause: {
        "": _may("What to wait for before the next step."),
        "duration": _may("Seconds to wait. Absent: until a person approves (kubectl kruise rollout approve)."),
    },
    v1beta1.Step: {
        "": _may("One step of a release."),
        "traffic": _may('Share of requests that goes to the new version, for example "5%".'),
        "requestHeaderModifier": _may("Changes to the headers of requests that go to the new version."),
        "matches": _may(
            "Requests that go to the new version: those that fulfil any entry. Takes precedence over traffic.", maxItems=16
        ),
        "replicas": _may("Pods of the new version after this step: a number, or a percentage of all pods."),
        "pause": _may("What to wait for before the next step."),
    },
    v1beta1.CanaryStrategy: {
        "": _may("Release step by step, replacing pods in batches or beside the workload."),
        "steps": _STEPS,
        "trafficRoutings": _ROUTINGS,
        "failureThreshold": _THRESHOLD,
        "patchPodTemplateMetadata": _may("Labels and annotations that only the pods of the canary Deployment get."),
        "enableExtraWorkloadForCanary": _may(
            "Put the new version into a second Deployment (canary) instead of replacing pods in batches (partition)."
        ),
        "trafficRoutingRef": _ROUTING_REF,
        "disableGenerateCanaryService": _NO_CANARY_SERVICE,
    },
    v1beta1.BlueGreenStrategy: {
        "": _may("Release beside the running pods: none is removed before the end, so going back is immediate."),
        "steps": _STEPS,
        "trafficRoutings": _ROUTINGS,
        "failureThreshold": _THRESHOLD,
        "trafficRoutingRef": _ROUTING_REF,
        "disableGenerateCanaryService": _NO_CANARY_SERVICE,
    },
    v1beta1.Strategy: {
        "": _may("How to release: canary or blueGreen, not both."),
        "paused": _may("Stand still at the current step."),
        "canary": _may("Release step by step, replacing pods in batches or beside the workload."),
        "blueGreen": _may("Release beside the running pods: none is removed before the end, so going back is immediate."),
    },
    v1beta1.RolloutSpec: {
        "": _may("What to release, and how."),
        "workloadRef": _must("The workload whose new versions are released step by step."),
        "strategy": _must("How to release: canary or blueGreen, not both."),
        "disabled": _may("Leave the workload alone, as if there were no Rollout.", default=False),
    },
    v1beta1.Condition: {
        "": _may("One aspect of the state."),
        "type": _must("What it is about."),
        "status": _must("True, False or Unknown."),
        "lastUpdateTime": _may("When it was last updated."),
        "lastTransitionTime": _may("When the status last changed."),
        "reason": _must("Why, in one word."),
        "message": _must("Why, in a sentence."),
    },
    v1beta1.StepStatus: {
        "": _may("Where the release stands."),
        "observedWorkloadGeneration": _may("Generation of the workload that this describes."),
        "observedRolloutID": _may("Identity of the release."),
        "rolloutHash": _may("Hash of the strategy that this describes."),
        "stableRevision": _may("Revision of the running version."),
        "podTemplateHash": _must("Value of the label that tells the new pods from the old ones."),
        "currentStepIndex": _may("Step the release is at; the first is 1."),
        "nextStepIndex": _must("Step that comes next, -1 if none. Set it to jump to another step."),
        "currentStepState": _must("How far the step has come. Set it to StepReady to approve a step that is StepPaused."),
        "message": _may("What is going on, in a sentence."),
        "lastUpdateTime": _may("When the state last changed."),
        "finalisingStep": _must("How far the clean-up at the end has come."),
        "updatedRevision": _must("Revision of the new version."),
        "updatedReplicas": _must("Pods of the new version."),
        "updatedReadyReplicas": _must("Ready pods of the new version."),
        "canaryRevision": _must("Revision of the new version."),
        "canaryReplicas": _must("Pods of the new version."),
        "canaryReadyReplicas": _must("Ready pods of the new version."),
    },
    v1beta1.RolloutStatus: {
        "": _may("Where the release stands."),
        "observedGeneration": _may("Generation of the Rollout that this describes."),
        "canaryStatus": _may("Where a canary or partition release stands."),
        "blueGreenStatus": _may("Where a blue-green release stands."),
        "conditions": _may("Progressing, Succeeded and Terminating."),
        "phase": _may("Initial, Healthy, Progressing, Terminating, Disabling or Disabled."),
        "message": _may("What is going on, in a sentence."),
        "currentStepIndex": _must("Step the release is at; the first is 1."),
        "currentStepState": _must("How far the step has come."),
    },
    v1beta1.Rollout: {"": _may("Releases new versions of one workload step by step.")},
    v1beta1.ReleaseBatch: {
        "": _may("One batch."),
        "canaryReplicas": _must("Pods of the new version after this batch: a number, or a percentage of all pods."),
    },
    v1beta1.ReleasePlan: {
        "": _may("Batches, and how far they may go."),
        "batches": _may("The batches, in order."),
        "batchPartition": _may("Last batch that may run; the first is 0. Absent: run all of them and finish."),
        "rolloutID": _may("Identity of the release; pods are labelled with it."),
        "failureThreshold": _THRESHOLD,
        "finalizingPolicy": _may("WaitResume: wait for all pods at the end. Immediate, or empty: do not wait."),
        "patchPodTemplateMetadata": _may("Labels and annotations that only the pods of the canary Deployment get."),
        "rollingStyle": _may("Partition, Canary or BlueGreen."),
        "enableExtraWorkloadForCanary": _must("Canary style if rollingStyle is empty."),
    },
    v1beta1.BatchReleaseSpec: {
        "": _may("Which pods to move, and how far."),
        "workloadRef": _may("The workload whose pods are moved."),
        "releasePlan": _must("Batches, and how far they may go."),
    },
    v1beta1.BatchStatus: {
        "": _may("Where the current batch stands."),
        "batchState": _may("Upgrading, Verifying or Ready."),
        "currentBatch": _must("Batch the release is at; the first is 0."),
        "batchReadyTime": _may("When the batch became ready."),
        "updatedReplicas": _may("Pods of the new version."),
        "updatedReadyReplicas": _may("Ready pods of the new version."),
        "noNeedUpdateReplicas": _may("Pods that had the wanted version before a rollback in batches began."),
    },
    v1beta1.BatchReleaseStatus: {
        "": _may("Where the batches stand."),
        "conditions": _may("Progressing."),
        "canaryStatus": _may("Where the current batch stands."),
        "stableRevision": _may("Revision of the running version."),
        "updateRevision": _may("Revision of the new version."),
        "observedGeneration": _may("Generation of the BatchRelease that this describes."),
        "observedRolloutID": _may("Identity of the release."),
        "observedWorkloadReplicas": _may("Pods the workload wants; -1 if not yet known."),
        "collisionCount": _may("Not used."),
        "observedReleasePlanHash": _may("Hash of the plan that this describes."),
        "phase": _may("Preparing, Progressing, Finalizing or Completed."),
        "message": _may("What is going on, in a sentence."),
    },
    v1beta1.BatchRelease: {"": _may("Moves the pods of one workload in batches. Made by a Rollout; not for people.")},
    v1alpha1.ObjectRefs: {
        "": _may("What to release."),
        "workloadRef": _may("The workload whose new versions are released step by step."),
    },
    v1alpha1.HeaderRouteMatch: {
        "": _may("Conditions on a request; all of them must hold."),
        "headers": _may("Headers that the request must have.", maxItems=16),
    },
    v1alpha1.Step: {
        "weight": _may("Percentage of requests that goes to the new version."),
        "replicas": _may("Pods of the new version after this step. Absent: weight percent of all pods."),
        "matches": _may("Requests that go to the new version: those that fulfil any entry. Takes precedence over weight."),
    },
    v1alpha1.CanaryStrategy: {"steps": Field(_STEPS.text)},
    v1alpha1.Strategy: {
        "": _may("How to release. Blue-green exists in v1beta1 only; here such a Rollout has no canary.")
    },
    v1alpha1.RolloutSpec: {
        "objectRef": _must("What to release."),
        "strategy": _must("How to release."),
        "rolloutID": _may("Deprecated and without effect; label the workload with rollouts.kruise.io/rollout-id."),
    },
    v1alpha1.RolloutStatus: {
        "currentStepIndex": _may("Step the release is at; the first is 1."),
        "currentStepState": _may("How far the step has come."),
    },
    v1alpha1.BatchReleaseSpec: {"targetReference": _must("Which pods to move.")},
    v1alpha1.TrafficMatch: {
        "": _may("Where requests go while the TrafficRouting is in use."),
        "weight": _may("Percentage of requests that goes to the new version."),
        "requestHeaderModifier": _may("Changes to the headers of requests that go to the new version."),
        "matches": _may("Requests that go to the new version: those that fulfil any entry."),
    },
    v1alpha1.TrafficRoutingSpec: {
        "": _may("What carries the traffic, and where it goes."),
        "objectRef": _must("What carries the traffic; only the first entry is used."),
        "strategy": _must("Where requests go while the TrafficRouting is in use."),
    },
    v1alpha1.TrafficRoutingStatus: {
        "": _may("Where the TrafficRouting stands."),
        "observedGeneration": _may("Generation of the TrafficRouting that this describes."),
        "phase": _may("Initial, Healthy, Progressing, Finalizing or Terminating."),
        "message": _may("What is going on, in a sentence."),
    },
    v1alpha1.TrafficRouting: {"": _may("Traffic that several Rollouts share, switched while any of them is in progress.")},
    v1alpha1.RolloutRecord: {
        "": _may("The Rollout as it was."),
        "rolloutID": _must("Identity of the release."),
        "name": _must("Name of the Rollout."),
        "data": _may("Its spec, as v1alpha1."),
    },
    v1alpha1.WorkloadRecord: {
        "": _may("The workload as it was."),
        "apiVersion": _may("API group and version of the workload."),
        "kind": _may("Kind of the workload."),
        "name": _must("Name of the workload."),
        "data": _may("Its spec."),
    },
    v1alpha1.NamedRecord: {
        "": _may("An object as it was."),
        "name": _must("Name of the object."),
        "data": _may("Its spec."),
    },
    v1alpha1.TrafficRecord: {
        "": _may("What carried the traffic."),
        "ingress": _may("The Ingress as it was."),
        "httpRoute": _may("The HTTPRoute as it was."),
    },
    v1alpha1.RolloutHistorySpec: {
        "": _may("The objects of a release as they were when it was completed."),
        "rollout": _may("The Rollout as it was."),
        "workload": _may("The workload as it was."),
        "service": _may("The Service as it was."),
        "trafficRouting": _may("What carried the traffic."),
    },
    v1alpha1.HistoryPod: {
        "": _may("A pod."),
        "name": _may("Name of the pod."),
        "ip": _may("Its address."),
        "nodeName": _may("Node it ran on."),
    },
    v1alpha1.HistoryStep: {
        "": _may("The pods of one step."),
        "canaryStepIndex": _may("Number of the step; the first is 1."),
        "pods": _may("Pods that were updated in this step."),
    },
    v1alpha1.RolloutHistoryStatus: {
        "": _may("Pods of each step."),
        "phase": _may("Empty, or completed."),
        "canarySteps": _may("Pods of each step."),
    },
    v1alpha1.RolloutHistory: {"": _may("Keeps what a completed release consisted of.")},
}  # fmt: skip

# Structs whose other fields mean the same as those of another one.
_LIKE: dict[type[Struct], type[Struct]] = {
    v1beta1.CanaryStatus: v1beta1.StepStatus,
    v1beta1.BlueGreenStatus: v1beta1.StepStatus,
    v1alpha1.Step: v1beta1.Step,
    v1alpha1.CanaryStrategy: v1beta1.CanaryStrategy,
    v1alpha1.Strategy: v1beta1.Strategy,
    v1alpha1.RolloutSpec: v1beta1.RolloutSpec,
    v1alpha1.RolloutStatus: v1beta1.RolloutStatus,
    v1alpha1.Rollout: v1beta1.Rollout,
    v1alpha1.BatchReleaseSpec: v1beta1.BatchReleaseSpec,
    v1alpha1.BatchReleaseStatus: v1beta1.BatchReleaseStatus,
    v1alpha1.BatchRelease: v1beta1.BatchRelease,
}
