"""Which pods get which batch label."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from kruise_rollouts.api.core import Pod, PodStatus
from kruise_rollouts.core.podlabels import (
    LabelPlan,
    is_consistent,
    is_no_older,
    labelled_pods,
    missing_labels,
)
from kruise_rollouts.kube.effects import Patch

ID, BATCH, HASH = "rollouts.kruise.io/rollout-id", "rollouts.kruise.io/rollout-batch-id", "pod-template-hash"
REVISION = "controller-revision-hash"


def pods(
    count: int,
    *,
    rollout: str = "",
    batch: str = "",
    revision: str = "new",
    going: bool = False,
    owner: str = "rs-1",
) -> list[Pod]:
    labels = {HASH: revision} | ({ID: rollout, BATCH: batch} if rollout else {})
    meta = {
        "namespace": "demo",
        "labels": labels,
        "ownerReferences": [{"uid": owner, "controller": True}],
        "deletionTimestamp": "2026-01-01T00:00:00Z" if going else None,
    }
    return [msgspec.convert({"metadata": meta}, Pod) for _ in range(count)]


def named(given: list[Pod]) -> tuple[Pod, ...]:
    return tuple(
        msgspec.structs.replace(p, metadata=msgspec.structs.replace(p.metadata, name=f"pod-{i}"))
        for i, p in enumerate(given)
    )


def plan(batches: tuple[int | str, ...], replicas: int = 10, current: int | None = None) -> LabelPlan:
    return LabelPlan(
        rollout_id="r1",
        batches=batches,
        replicas=replicas,
        current=len(batches) - 1 if current is None else current,
        revision="ours",
        pod_template_hash="new",
        owner="rs-1",
    )


def per_batch(given: tuple[Pod, ...], wanted: LabelPlan) -> list[int]:
    """Pods of each batch once the writes are made."""
    labels = {p.metadata.name: dict(p.metadata.labels) for p in given}
    going = {p.metadata.name for p in given if p.is_terminating}
    for write in missing_labels(given, wanted):
        assert isinstance(write, Patch)
        labels[write.ref.name] |= write.body["metadata"]["labels"]
    count = Counter(
        found[BATCH] for name, found in labels.items() if found.get(ID) == "r1" and name not in going
    )
    return [count[str(i + 1)] for i in range(len(wanted.batches))]


@pytest.mark.parametrize(
    ("given", "batches", "after"),
    [
        (pods(10), (5,), [5]),
        ([*pods(8), *pods(2, rollout="r1", batch="1")], (5,), [5]),
        ([*pods(5), *pods(5, rollout="r1", batch="1")], (5,), [5]),
        ([*pods(3), *pods(7, rollout="r1", batch="1")], (5,), [7]),
        (pods(2), (5,), [2]),
        ([*pods(7), *pods(3, rollout="r0", batch="1")], (5,), [5]),
        ([*pods(3), *pods(2, rollout="r1", batch="1")], (2, 5), [2, 3]),
        (pods(5), (2, 5), [2, 3]),
        ([*pods(2), *pods(3, rollout="r1", batch="1")], (2, 5), [3, 2]),
        ([*pods(2), *pods(3, rollout="r1", batch="3")], (2, 5), [2, 3]),
        ([*pods(2), *pods(3, rollout="r1", batch="x")], (2, 5), [2, 3]),
        ([*pods(5), *pods(4, revision="old"), *pods(3, going=True)], (2, 5), [2, 3]),
        ([*pods(5), *pods(4, owner="another")], (2, 5, 9), [2, 3, 0]),
    ],
)  # fmt: skip
def test_batches_are_filled_with_pods_that_have_no_batch_yet(
    given: list[Pod], batches: tuple[int | str, ...], after: list[int]
) -> None:
    current = 1 if len(batches) > 1 else 0
    assert per_batch(named(given), plan(batches, current=current)) == after


@pytest.mark.parametrize(
    ("given", "replicas", "after"),
    [
        ([*pods(2, rollout="r1", batch="1"), *pods(3, rollout="r1", batch="2"), *pods(5)], 20, [4, 6, 0]),
        ([*pods(2, rollout="r1", batch="1"), *pods(1, rollout="r1", batch="2")], 6, [2, 1, 0]),
        ([*pods(1, rollout="r1", batch="1"), *pods(3, rollout="r1", batch="2"), *pods(1)], 10, [2, 3, 0]),
    ],
)
def test_scaling_and_lost_pods_keep_the_shares(given: list[Pod], replicas: int, after: list[int]) -> None:
    assert per_batch(named(given), plan(("20%", "50%", "100%"), replicas, current=1)) == after


def test_a_complete_batch_asks_for_nothing() -> None:
    assert missing_labels(named(pods(5, rollout="r1", batch="1")), plan((5,))) == ()


def test_a_pod_without_a_revision_hash_is_given_one_in_the_same_write() -> None:
    (write,) = missing_labels(named(pods(1)), plan((1,)))
    assert isinstance(write, Patch)
    assert write.body == {"metadata": {"labels": {ID: "r1", BATCH: "1", REVISION: "ours"}}}


def test_labelled_pods_on_their_way_out_do_not_count() -> None:
    given = named([*pods(2, rollout="r1", batch="1"), *pods(1, rollout="r1", batch="1", going=True)])
    assert labelled_pods(given, "r1") == 2


def test_a_label_may_hold_the_end_of_a_revision() -> None:
    assert is_consistent({REVISION: "abc"}, "web-abc")
    assert is_consistent({HASH: "abc"}, "abc")
    assert not is_consistent({HASH: ""}, "abc")
    assert not is_consistent({}, "abc")


READY = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("unlabelled", "labelled", "ready", "rollout", "expected"),
    [
        (2, 3, 5, "r1", True),
        (1, 3, 4, "r1", False),  # a pod that is counted is not in the list
        (2, 3, 4, "r1", False),  # a pod that is counted as ready is not ready in the list
        (3, 2, 5, "r1", False),  # a label that we have given is not in the list
        (5, 0, 5, "", True),  # no labels are wanted
    ],
)
def test_a_list_from_a_cache_is_believed_if_it_shows_what_is_known(
    unlabelled: int, labelled: int, ready: int, rollout: str, expected: bool
) -> None:
    found = named(pods(unlabelled) + pods(labelled, rollout="r1", batch="1") + pods(3, revision="old"))
    status = msgspec.convert(READY, PodStatus)
    shown = tuple(msgspec.structs.replace(p, status=status) if i < ready else p for i, p in enumerate(found))
    wanted = msgspec.structs.replace(plan((3, 5)), rollout_id=rollout)
    assert is_no_older(shown, wanted, existing=5, ready=5) is expected
