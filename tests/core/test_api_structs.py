"""The Structs on the wire: what is always written, what is left out, what garbage does."""

from __future__ import annotations

import msgspec
import pytest

from kruise_rollouts.api import annotations
from kruise_rollouts.api.apps import RollingUpdate
from kruise_rollouts.api.int_or_percent import parse_percent, scaled
from kruise_rollouts.api.rollouts_v1beta1 import (
    BatchReleaseStatus,
    BlueGreenStatus,
    CanaryStatus,
    CanaryStrategy,
    ObjectRef,
    ReleasePlan,
    Rollout,
    RolloutSpec,
    RolloutStatus,
    Strategy,
    Style,
    release_style,
    style_of,
)
from kruise_rollouts.kube.objects import OwnerReference

DEPLOYMENT = ObjectRef("apps/v1", "Deployment", "web")
CLONE_SET = ObjectRef("apps.kruise.io/v1alpha1", "CloneSet", "web")


def wire(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def test_an_empty_status_still_carries_the_fields_that_the_schema_requires() -> None:
    assert wire(RolloutStatus()) == '{"currentStepIndex":0,"currentStepState":""}'
    assert msgspec.to_builtins(CanaryStatus()) == {
        "podTemplateHash": "",
        "nextStepIndex": 0,
        "currentStepState": "",
        "finalisingStep": "",
        "canaryRevision": "",
        "canaryReplicas": 0,
        "canaryReadyReplicas": 0,
    }
    assert "updatedRevision" in msgspec.to_builtins(BlueGreenStatus())
    assert wire(BatchReleaseStatus()) == '{"canaryStatus":{"currentBatch":0}}'
    assert wire(ReleasePlan()) == '{"batches":[],"enableExtraWorkloadForCanary":false}'


def test_a_status_with_missing_required_fields_is_still_read() -> None:
    read = msgspec.json.decode(b'{"canaryStatus":{"currentStepState":"StepPaused"}}', type=RolloutStatus)
    assert read.active is not None
    assert read.active.current_step_state == "StepPaused"


def test_both_sub_statuses_are_read_by_the_same_names() -> None:
    canary = msgspec.json.decode(b'{"canaryRevision":"a","canaryReplicas":2}', type=CanaryStatus)
    blue = msgspec.json.decode(b'{"updatedRevision":"a","updatedReplicas":2}', type=BlueGreenStatus)
    assert (canary.updated_revision, canary.updated_replicas) == (
        blue.updated_revision,
        blue.updated_replicas,
    )


def test_an_empty_rollout_is_read() -> None:
    assert msgspec.json.decode(b"{}", type=Rollout).spec.strategy.active is None


@pytest.mark.parametrize(
    ("ref", "extra", "style"),
    [
        (DEPLOYMENT, True, Style.CANARY),
        (DEPLOYMENT, False, Style.PARTITION),
        (CLONE_SET, True, Style.PARTITION),
    ],
)
def test_an_extra_workload_is_for_native_deployments_only(ref: ObjectRef, extra: bool, style: Style) -> None:
    spec = RolloutSpec(ref, Strategy(canary=CanaryStrategy(enable_extra_workload_for_canary=extra)))
    assert style_of(spec) is style


def test_the_style_of_a_batch_release_falls_back_to_the_older_flag() -> None:
    assert release_style(ReleasePlan(rolling_style="BlueGreen")) is Style.BLUE_GREEN
    assert release_style(ReleasePlan(enable_extra_workload_for_canary=True)) is Style.CANARY
    assert release_style(ReleasePlan()) is Style.PARTITION


def test_a_style_of_a_batch_release_that_nobody_knows_is_not_taken_for_another() -> None:
    assert release_style(ReleasePlan(rolling_style="bluegreen")) is Style.BLUE_GREEN
    assert release_style(ReleasePlan(rolling_style="Weird")) is None
    assert release_style(ReleasePlan(rolling_style="Weird", enable_extra_workload_for_canary=True)) is None


@pytest.mark.parametrize("text", ["50", "5.5%", " 5%", "5 %", "%", "٣%", "1_0%", "", "5%%"])
def test_malformed_percentages_are_refused(text: str) -> None:
    assert parse_percent(text) is None
    assert scaled(text, 10, up=True) is None


def test_percentages_round_as_asked_and_numbers_are_not_clamped() -> None:
    assert [scaled("15%", 10, up=u) for u in (True, False)] == [2, 1]
    assert scaled(20, 10, up=True) == 20
    assert scaled("+5%", 100, up=True) == 5


def test_the_deployment_strategy_annotation_has_its_exact_form() -> None:
    value = annotations.PartitionStrategy(
        rolling_style="Partition", rolling_update=RollingUpdate("25%", "25%"), partition=0
    )
    text = (
        '{"rollingStyle":"Partition","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"},"partition":0}'
    )
    assert annotations.encode(value) == text
    assert annotations.parse_partition_strategy(text) == value
    paused = msgspec.structs.replace(value, paused=True, partition="50%")
    assert annotations.encode(paused).endswith('"paused":true,"partition":"50%"}')


def test_saved_settings_keep_numbers_and_percentages_apart() -> None:
    text = '{"maxUnavailable":1,"maxSurge":"20%","minReadySeconds":5,"progressDeadlineSeconds":600}'
    value = annotations.parse_original_strategy(text)
    assert value is not None and value.max_unavailable == 1 and value.max_surge == "20%"
    assert annotations.encode(value) == text


def test_extra_status_and_control_info_have_their_exact_form() -> None:
    assert annotations.encode(annotations.ExtraStatus()) == "{}"
    assert (
        annotations.encode(annotations.ExtraStatus(1, 2))
        == '{"updatedReadyReplicas":1,"expectedUpdatedReplicas":2}'
    )
    owner = OwnerReference("rollouts.kruise.io/v1beta1", "BatchRelease", "web", "u-1", True, True)
    assert annotations.encode(owner) == (
        '{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"BatchRelease","name":"web","uid":"u-1",'
        '"controller":true,"blockOwnerDeletion":true}'
    )


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", '{"partition":1.5}', '"x"'])
def test_garbage_in_an_annotation_reads_as_absent(text: str | None) -> None:
    assert annotations.parse_partition_strategy(text) is None
    assert annotations.parse_control_info(text) is None


def test_the_mark_of_a_release_counts_even_if_its_text_is_garbage() -> None:
    assert annotations.parse_in_progressing("yes") == annotations.InProgressing()
    assert annotations.parse_in_progressing('{"rolloutName":"web"}') == annotations.InProgressing("web")
    assert annotations.parse_in_progressing("") is None
