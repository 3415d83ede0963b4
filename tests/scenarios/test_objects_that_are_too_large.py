"""S47: no room left for our annotations. It is said, nothing is let loose, and it goes on once there is room."""

from __future__ import annotations

import pytest

from kruise_rollouts.kube.errors import Invalid
from kruise_rollouts.kube.objects import DEPLOYMENT

from .release import begin, to_the_end
from .scenario import scenario
from .stage import Stage

LIMIT = 256 * 1024  # bytes of all annotations, keys and values
FULL = "team.example.com/notes"


async def fill(stage: Stage, left: int) -> None:
    """A person's annotation that leaves `left` bytes."""
    have = (await stage.deployment())["metadata"].get("annotations") or {}
    used = sum(len(k) + len(v) for k, v in have.items() if k != FULL) + len(FULL)
    body = {"metadata": {"annotations": {FULL: "x" * (LIMIT - used - left)}}}
    await stage.patch(DEPLOYMENT, "busybox", body)


async def make_room(stage: Stage) -> None:
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"annotations": {FULL: None}}})


@scenario
async def test_a_deployment_without_room_for_our_mark_takes_no_new_version(stage: Stage) -> None:
    await begin(stage)
    await fill(stage, left=10)
    with pytest.raises(Invalid, match=r"annotations: Too long"):
        await stage.set_version("version-2")
    await stage.stays({"version-5": 10}, seconds=2)
    await make_room(stage)
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await to_the_end(stage)
