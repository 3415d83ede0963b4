"""The tables of batch arithmetic: what "20%" or 3 means in pods, and when a batch is done."""

from __future__ import annotations

import pytest

from kruise_rollouts.core.plan import (
    Batch,
    Slack,
    increments,
    is_batch_ready,
    planned_pods,
    slack,
    updated_limit,
)


@pytest.mark.parametrize(
    ("batch", "total", "pods"),
    [
        (5, 10, 5), ("20%", 10, 2), ("100%", 10, 10), ("200%", 10, 10), (200, 10, 10), (0, 10, 0),
        ("10%", 100, 10), ("50%", 100, 50), ("80%", 100, 80), ("1%", 3, 1), ("1%", 1, 1), ("1%", 10, 1),
        ("1%", 101, 2), ("33%", 3, 1), ("34%", 3, 2), ("67%", 3, 3), ("50%", 5, 3), ("99%", 10, 10),
        ("99%", 100, 99), (-3, 10, 0), ("90%", 5, 5), ("abc", 10, 0), ("5", 10, 0),
    ],
)  # fmt: skip
def test_a_batch_stands_for_pods_rounded_up(batch: int | str, total: int, pods: int) -> None:
    assert planned_pods(batch, total) == pods


@pytest.mark.parametrize(
    ("partition", "total", "pods"),
    [
        (0, 100, 0), (57, 100, 57), (100, 100, 100), (999, 100, 100), (-1, 10, 0), ("1%", 1, 1), ("1%", 2, 1),
        ("0%", 10, 0), ("1%", 10, 1), ("20%", 10, 2), ("40%", 5, 2), ("60%", 5, 3), ("90%", 5, 4),
        ("100%", 5, 5), ("99%", 5, 4), ("90%", 10, 9), ("91%", 10, 9), ("99%", 2, 1), ("50%", 1, 1),
        ("67%", 3, 2), ("50%", 0, 0), ("99%", 100, 99),
    ],
)  # fmt: skip
def test_a_percentage_below_100_never_means_the_last_pod(partition: int | str, total: int, pods: int) -> None:
    assert updated_limit(partition, total) == pods


def test_no_percentage_below_100_takes_every_pod_and_none_above_0_takes_none() -> None:
    for total in (*range(30), 99, 100, 101, 999):
        for percent in range(101):
            pods = updated_limit(f"{percent}%", total)
            assert 0 <= pods <= total
            if percent < 100 and total > 1:
                assert pods < total
            if percent > 0 and total > 0:
                assert pods > 0


@pytest.mark.parametrize(
    ("batches", "total", "current", "added"),
    [
        (("20%", "50%", "100%"), 10, 0, (2, 0, 0)), (("20%", "50%", "100%"), 10, 1, (2, 3, 0)),
        (("20%", "50%", "100%"), 10, 2, (2, 3, 5)), (("20%", "50%", "100%"), 20, 2, (4, 6, 10)),
        (("20%", "50%", "100%"), 15, 2, (3, 5, 7)), ((1, 3, "100%"), 5, 2, (1, 2, 2)),
        (("1%", "2%", "100%"), 10, 2, (1, 0, 9)), ((5, 3), 10, 1, (5, -2)), (("90%", "100%"), 5, 0, (5, 0)),
        (("10%", "20%", "30%"), 3, 2, (1, 0, 0)), (("20%", "50%", "100%"), 7, 2, (2, 2, 3)),
        (("20%", "50%", "100%"), 1, 2, (1, 0, 0)), ((1, 2, 3), 2, 2, (1, 1, 0)),
        (("5%", "10%", "100%"), 30, 2, (2, 1, 27)), (("50%", "100%"), 3, 1, (2, 1)),
        ((10, "50%", "100%"), 10, 2, (10, -5, 5)),
    ],
)  # fmt: skip
def test_each_batch_adds_what_the_one_before_lacks(
    batches: tuple[int | str, ...], total: int, current: int, added: tuple[int, ...]
) -> None:
    assert increments(batches, total, current) == added


@pytest.mark.parametrize(
    ("updated", "ready", "desired", "threshold", "done"),
    [
        (5, 5, 5, 1, True), (5, 4, 5, 1, True), (5, 3, 5, 1, False), (4, 4, 5, "60%", False),
        (5, 0, 5, 100, False), (5, 3, 5, None, False), (10, 8, 10, "20%", True), (10, 7, 10, "20%", False),
        (3, 2, 3, "10%", True), (1, 0, 1, "100%", False), (2, 1, 2, "50%", True), (2, 0, 0, None, True),
        (6, 4, 5, "10%", True), (6, 4, 5, None, False), (100, 90, 100, "10%", True), (100, 89, 100, "10%", False),
        (5, 4, 5, "many", False),
    ],
)  # fmt: skip
def test_a_batch_is_ready_with_enough_new_and_ready_pods(
    updated: int, ready: int, desired: int, threshold: int | str | None, done: bool
) -> None:
    batch = Batch(desired=desired, updated=updated, updated_ready=ready)
    assert is_batch_ready(batch, threshold) is done


@pytest.mark.parametrize(
    ("surge", "unavailable", "total", "pods"),
    [
        ("0%", "0%", 10, (0, 1)), ("39%", "39%", 10, (4, 3)), ("oops", "39%", 10, None),
        ("55%", "urg", 10, None), (None, "39%", 10, (0, 3)), ("39%", None, 10, (4, 0)),
        (None, None, 10, (0, 1)), (1, 5, 10, (1, 5)), (1, 10, 5, (1, 5)), ("25%", "25%", 1, (1, 0)),
        ("25%", "25%", 3, (1, 0)), ("25%", "25%", 4, (1, 1)), ("25%", "25%", 5, (2, 1)),
        ("25%", "25%", 10, (3, 2)), ("1%", "25%", 2, (1, 0)), ("0%", "1%", 2, (0, 1)), ("20%", 1, 10, (2, 1)),
        (None, "25%", 3, (0, 1)), (0, 0, 0, (0, 0)), (-1, 1, 10, None), (1, -1, 10, None),
    ],
)  # fmt: skip
def test_surge_rounds_up_and_unavailable_down_and_one_of_them_is_left(
    surge: int | str | None, unavailable: int | str | None, total: int, pods: tuple[int, int] | None
) -> None:
    assert slack(surge, unavailable, total) == (None if pods is None else Slack(*pods))
