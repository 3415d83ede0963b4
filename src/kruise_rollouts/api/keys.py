"""Every name of ours on the wire, once: labels, annotations, finalizers, phases, states, condition types, reasons.

Values are the published API of OpenKruise Rollouts; a change here breaks objects that already exist.
"""

from __future__ import annotations

from enum import StrEnum

GROUP = "rollouts.kruise.io"
V1BETA1 = "rollouts.kruise.io/v1beta1"
V1ALPHA1 = "rollouts.kruise.io/v1alpha1"

# Labels
# on a workload: deployment, cloneset, statefulset, daemonset
WORKLOAD_TYPE = "rollouts.kruise.io/workload-type"
# on a workload as label or annotation (a person's), on pods as label
ROLLOUT_ID = "rollouts.kruise.io/rollout-id"
ROLLOUT_BATCH_ID = "rollouts.kruise.io/rollout-batch-id"  # on pods: 1-based batch number
NO_NEED_UPDATE = "rollouts.kruise.io/no-need-update"  # on pods: rollback in batches
# on a Deployment: pod-template-hash of the stable ReplicaSet
STABLE_REVISION = "rollouts.kruise.io/stable-revision"
# on a Deployment: "true"
ADVANCED_DEPLOYMENT = "rollouts.kruise.io/controlled-by-advanced-deployment-controller"
CANARY_DEPLOYMENT = "rollouts.kruise.io/canary-deployment"  # on a canary Deployment: name of the stable one
ROLLOUT_NAME = "rollouts.kruise.io/rollout-name"  # on a RolloutHistory
POD_TEMPLATE_HASH = "pod-template-hash"
CONTROLLER_REVISION_HASH = "controller-revision-hash"

# Annotations; the shapes of JSON values are in api/annotations.py
IN_PROGRESSING = "rollouts.kruise.io/in-progressing"
DEPLOYMENT_STRATEGY = "rollouts.kruise.io/deployment-strategy"
DEPLOYMENT_EXTRA_STATUS = "rollouts.kruise.io/deployment-extra-status"
ORIGINAL_DEPLOYMENT_STRATEGY = "rollouts.kruise.io/original-deployment-strategy"
CONTROL_INFO = "batchrelease.rollouts.kruise.io/control-info"
DAEMONSET_ORIGINAL_STRATEGY = "rollouts.kruise.io/daemonset-original-update-strategy"
DAEMONSET_REVISION = "rollouts.kruise.io/daemonset-revision"
DAEMONSET_ADVANCED_CONTROL = "rollouts.kruise.io/daemonset-advanced-control"
HASH = "rollouts.kruise.io/hash"  # on a Rollout: hashes.rollout_hash
ROLLBACK_IN_BATCH = "rollouts.kruise.io/rollback-in-batch"
ROLLING_STYLE = "rollouts.kruise.io/rolling-style"  # v1alpha1 objects
TRAFFIC_ROUTING = "rollouts.kruise.io/trafficrouting"  # on a Rollout: name of a TrafficRouting
ORIGINAL_SPEC = "rollouts.kruise.io/original-spec-configuration"  # on custom network objects
OTHER_VERSION = "rollouts.kruise.io/other-version"  # see api/convert.py
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
POD_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# Finalizers
ROLLOUT_FINALIZER = "rollouts.kruise.io/rollout"
BATCH_RELEASE_FINALIZER = "rollouts.kruise.io/batch-release-finalizer"
CANARY_DEPLOYMENT_FINALIZER = "finalizer.rollouts.kruise.io/batch-release"
TRAFFIC_ROUTING_FINALIZER = "rollouts.kruise.io/trafficrouting"
PROGRESSING_FINALIZER_PREFIX = "progressing.rollouts.kruise.io/"  # + name of the Rollout; on a TrafficRouting

# Names and numbers
CANARY_SUFFIX = "-canary"  # of generated Services and Ingresses
HPA_DISABLED_SUFFIX = "-DisableByRollout"  # of a frozen HPA's scaleTargetRef.name
CONFIG_MAP = "kruise-rollout-configuration"
FIELD_MANAGER = "kruise-rollout"
# minReadySeconds of a Deployment that is moved in batches: no new pod counts as available
MAX_READY_SECONDS = 2147483646
MAX_PROGRESS_SECONDS = 2147483647  # must be greater than minReadySeconds
NEVER_PARTITION = 32767  # partition of a held StatefulSet
ROLLBACK_ID_PREFIX = "rollback-"


class RolloutPhase(StrEnum):
    INITIAL = "Initial"
    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    TERMINATING = "Terminating"
    DISABLED = "Disabled"
    DISABLING = "Disabling"


class ReleasePhase(StrEnum):
    """status.phase of a BatchRelease."""

    PREPARING = "Preparing"
    PROGRESSING = "Progressing"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"


class BatchState(StrEnum):
    UPGRADING = "Upgrading"
    VERIFYING = "Verifying"
    READY = "Ready"


class TrafficRoutingPhase(StrEnum):
    INITIAL = "Initial"
    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    FINALIZING = "Finalizing"
    TERMINATING = "Terminating"


HISTORY_COMPLETED = "completed"  # status.phase of a RolloutHistory


class StepState(StrEnum):
    """currentStepState."""

    BEFORE_UPGRADE = "BeforeStepUpgrade"
    UPGRADE = "StepUpgrade"
    TRAFFIC_ROUTING = "StepTrafficRouting"
    METRICS_ANALYSIS = "StepMetricsAnalysis"
    PAUSED = "StepPaused"
    READY = "StepReady"
    COMPLETED = "Completed"


class FinalisingStep(StrEnum):
    """finalisingStep; "" means not begun."""

    ROUTE_TO_NEW = "FinalisingStepRouteTrafficToNew"
    ROUTE_TO_STABLE = "FinalisingStepRouteTrafficToStable"
    RESTORE_STABLE_SERVICE = "RestoreStableService"
    REMOVE_CANARY_SERVICE = "RemoveCanaryService"
    RESUME_WORKLOAD = "ResumeWorkload"
    RELEASE_CONTROL = "ReleaseWorkloadControl"
    END = "END"
    WAIT_ENDLESS = "WaitEndless"


class ConditionType(StrEnum):
    PROGRESSING = "Progressing"
    SUCCEEDED = "Succeeded"
    TERMINATING = "Terminating"


class ProgressingReason(StrEnum):
    """Reasons of the condition Progressing."""

    INITIALIZING = "Initializing"
    IN_ROLLING = "InRolling"
    PAUSED = "Paused"
    FINALISING = "Finalising"
    CANCELLING = "Cancelling"
    COMPLETED = "Completed"


class TerminatingReason(StrEnum):
    """Reasons of the condition Terminating."""

    IN_TERMINATING = "InTerminating"
    COMPLETED = "Completed"


class FinalizingPolicy(StrEnum):
    """spec.releasePlan.finalizingPolicy of a BatchRelease; "" behaves as Immediate."""

    WAIT_RESUME = "WaitResume"
    IMMEDIATE = "Immediate"


class WorkloadType(StrEnum):
    """Values of the label WORKLOAD_TYPE."""

    DEPLOYMENT = "deployment"
    CLONE_SET = "cloneset"
    STATEFUL_SET = "statefulset"
    DAEMON_SET = "daemonset"


class EventReason(StrEnum):
    PROGRESSING = "Progressing"
    FINALISING = "Finalising"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    ENABLED = "Enabled"
    TERMINATING = "Terminating"
    UNSUPPORTED_WORKLOAD = "UnsupportedWorkload"
    STATUS_INVALID = "StatusInvalid"  # somebody has written into it what cannot be followed
