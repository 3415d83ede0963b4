"""Which keys a controller looks at again when an object changes.

A feed is a function (world, old, new) -> keys; `old` None: added, `new` None: deleted. The world already shows the
change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.selectors import matches, of_object

from . import facts
from .world import World

Feed: TypeAlias = Callable[[World, JsonObject | None, JsonObject | None], Iterable[Key]]


def key_of(obj: JsonObject) -> Key:
    return (facts.ns(obj), facts.name(obj))


def itself(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """The object's own key."""
    obj = new if new is not None else old
    if obj is not None:
        yield key_of(obj)


def controller_of(kind: Kind) -> Feed:
    """The controller of the object (before and after), if it is of `kind`; of an orphan, all that would adopt it."""

    def feed(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
        seen: set[str] = set()
        for obj in (new, old):
            owner = facts.controller_of(obj) if obj is not None else None
            if obj is None or owner is None or owner["uid"] in seen:
                continue
            seen.add(owner["uid"])
            if owner.get("kind") == kind.kind:
                yield (facts.ns(obj), owner["name"])
        if new is not None and not seen and _could_be_adopted(old, new):
            yield from _adopters(world, kind, new)

    return feed


def _could_be_adopted(old: JsonObject | None, new: JsonObject) -> bool:
    return old is None or facts.labels_of(old) != facts.labels_of(new) or facts.controller_of(old) is not None


def _adopters(world: World, kind: Kind, orphan: JsonObject) -> Iterator[Key]:
    labels = facts.labels_of(orphan)
    for owner in world.list(kind, facts.ns(orphan)):
        raw = facts.spec(owner).get("selector")
        chosen = of_object(raw if kind.api_version != "v1" else {"matchLabels": raw} if raw else None)
        if chosen is not None and matches(chosen, labels):
            yield key_of(owner)


def controllers_controller(kind: Kind, between: Kind) -> Feed:
    """The owner (of `kind`) of the object's owner (of `between`): the Deployment of a pod."""

    def feed(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
        obj = new if new is not None else old
        owner = facts.controller_of(obj) if obj is not None else None
        if obj is None or owner is None or owner.get("kind") != between.kind:
            return
        middle = world.get(between, facts.ns(obj), owner["name"])
        above = facts.controller_of(middle) if middle is not None else None
        if above is not None and above.get("kind") == kind.kind:
            yield (facts.ns(obj), above["name"])

    return feed


def when_gone(feed: Feed) -> Feed:
    """`feed`, for deletions only."""

    def gone(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterable[Key]:
        return feed(world, old, new) if new is None else ()

    return gone


def everything(kind: Kind) -> Feed:
    """All objects of `kind`."""

    def feed(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
        for obj in world.list(kind):
            yield key_of(obj)

    return feed
