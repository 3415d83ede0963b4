"""The walk-through as a list of acts: what is typed, what that sends, and what must be seen then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from .person import Expect, Person, busybox, healthy, paused, rollout


class Act(Struct, frozen=True):
    title: str  # what happens, for people
    command: str  # what one would type; "" when nobody types anything
    do: Callable[[Person], Awaitable[None]] | None
    then: Expect
    seen: str  # what `then` means, for people
    within: float  # seconds of the demo's clock


def _typed(version: str) -> str:
    return f"kubectl set env deployment/busybox VERSION={version}"


def _set(version: str) -> Callable[[Person], Awaitable[None]]:
    return lambda person: person.set_version(version)


APPROVE = "kubectl kruise rollout approve rollout/busybox -n default"


async def _first(person: Person) -> None:
    await person.apply(busybox("version-5"))
    await person.apply(rollout())


async def _approve(person: Person) -> None:
    await person.approve()


STORY = (
    Act(
        "Ten pods of version-5, and a Rollout: 1 pod, then half, then all",
        "kubectl apply -f docs/guide/busybox.yaml",
        _first,
        healthy(v5=10),
        "ten pods ready, the Rollout is Healthy",
        60,
    ),
    Act("A new version: held at admission, one pod of it is released", _typed("version-2"), _set("version-2"), paused(1, v5=9, v2=1), "9 : 1, waiting for approval", 60),
    Act("Approve", APPROVE, _approve, paused(2, v5=5, v2=5), "5 : 5, waiting for 60 s", 60),
    Act("A minute later the rest follows by itself", "", None, healthy(v2=10), "ten pods of version-2, Healthy", 120),
    Act("The next version", _typed("version-3"), _set("version-3"), paused(1, v2=9, v3=1), "9 : 1", 60),
    Act("Approve", APPROVE, _approve, paused(2, v2=5, v3=5), "5 : 5", 60),
    Act("A third version in the middle: version-3's pods go first, version-2 keeps its five", _typed("version-4"), _set("version-4"), paused(1, v2=5, v3=4, v4=1), "5 : 4 : 1, back at step 1", 60),
    Act("Approve: no version-3 is left", APPROVE, _approve, paused(2, v2=5, v4=5), "5 : 5", 60),
    Act("Roll back: put the old template back", _typed("version-2"), _set("version-2"), healthy(v2=10), "ten pods of version-2 again, Healthy", 60),
)  # fmt: skip
