"""The cache under events and own answers in any order: it ends where the server is, and tells one story."""

from __future__ import annotations

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Struct

from kruise_rollouts.kube.objects import LAST_APPLIED, Meta, without_last_applied
from kruise_rollouts.runtime.cache import Cache


class Thing(Struct, frozen=True, gc=False):
    metadata: Meta = Meta()
    color: str = ""


def a_thing(name: str, version: int, *, uid: str = "u1", color: str = "red", ns: str = "ns") -> Thing:
    return Thing(Meta(name=name, namespace=ns, uid=uid, resource_version=str(version)), color)


def told(cache: Cache[Thing]) -> list[tuple[str | None, str | None]]:
    """What subscribers hear, as pairs of colours."""
    heard: list[tuple[str | None, str | None]] = []
    cache.subscribe(lambda old, new: heard.append((old and old.color, new and new.color)))
    return heard


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache(Thing)
    assert cache.put(a_thing("a", 9, color="new"))
    assert not cache.put(a_thing("a", 10**1 - 2, color="old"))
    assert not cache.put(a_thing("a", 9, color="same"))
    assert cache.get("ns", "a") == a_thing("a", 9, color="new")


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("a", 99, color="old"))
    assert cache.put(a_thing("a", 100, color="new"))


def test_a_late_answer_does_not_revive_an_object_whose_end_was_seen() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("a", 5))
    cache.remove("ns", "a", resource_version="8")
    cache.pass_by("8", gone="u1")
    assert not cache.put(a_thing("a", 7))
    assert cache.get("ns", "a") is None


def test_a_late_event_does_not_revive_an_object_we_deleted() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("a", 5))
    cache.deleted("ns", "a", "u1")
    assert not cache.put(a_thing("a", 6))
    assert cache.put(a_thing("a", 9, uid="u2"))


def test_an_object_brought_back_with_its_old_uid_is_seen_again_after_a_list() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("a", 5))
    cache.deleted("ns", "a", "u1")
    cache.replace([], "10")
    assert cache.put(a_thing("a", 11))


def test_deleting_what_the_stream_has_already_ended_leaves_nothing_behind() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("a", 5))
    cache.remove("ns", "a", resource_version="8")
    cache.pass_by("8", gone="u1")
    cache.deleted("ns", "a", "u1")
    assert cache.put(a_thing("a", 9)), "a restored object with the old uid is not hidden"


def test_the_end_of_an_earlier_incarnation_does_not_remove_the_new_one() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("a", 9, uid="u2"))
    assert not cache.remove("ns", "a", resource_version="8")
    assert cache.get("ns", "a") is not None


def test_another_object_under_the_same_name_is_told_as_an_end_and_a_beginning() -> None:
    cache = Cache(Thing)
    heard = told(cache)
    cache.put(a_thing("a", 5, color="red"))
    cache.put(a_thing("a", 9, uid="u2", color="blue"))
    assert heard == [(None, "red"), ("red", None), (None, "blue")]


def test_a_list_drops_what_is_gone_but_not_what_is_newer_than_the_list() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("gone", 3, uid="u3"))
    cache.put(a_thing("ours", 12, uid="u12"))
    cache.replace([a_thing("a", 5)], "10")
    assert {t.metadata.name for t in cache.items()} == {"a", "ours"}


def test_an_object_that_cannot_be_read_stays_as_it_was() -> None:
    cache = Cache(Thing)
    cache.put(a_thing("odd", 3))
    cache.replace([], "10", keep=[("ns", "odd")])
    assert cache.get("ns", "odd") is not None


def test_after_a_restore_of_the_storage_the_list_is_believed() -> None:
    cache = Cache(Thing)
    cache.replace([a_thing("a", 90, color="lost"), a_thing("b", 95, uid="u2")], "100")
    cache.replace([a_thing("a", 40, color="restored")], "50")
    assert [t.color for t in cache.items()] == ["restored"]
    assert cache.put(a_thing("a", 51, color="later"))


def test_a_restored_storage_that_counts_on_from_higher_versions_is_recognised() -> None:
    """S53. Restoring etcd with a bumped revision is what its handbook says."""
    cache = Cache(Thing)
    assert not cache.replace([a_thing("a", 90, color="lost")], "100")
    assert not cache.replace([a_thing("a", 90, color="lost")], "120")
    assert not cache.replace([a_thing("a", 125, color="lost")], "130")
    assert cache.replace([a_thing("a", 40, color="restored")], "1000000")
    assert [t.color for t in cache.items()] == ["restored"]


def test_an_answer_to_our_write_that_is_newer_than_a_list_is_no_sign_of_a_restore() -> None:
    cache = Cache(Thing)
    cache.replace([a_thing("a", 90)], "100")
    cache.put(a_thing("a", 150, color="ours"))
    assert not cache.replace([a_thing("a", 90)], "120")
    assert [t.color for t in cache.items()] == ["ours"]


def test_indexes_follow_their_objects() -> None:
    cache = Cache(Thing, {"color": lambda t: (t.color,)})
    cache.put(a_thing("a", 1, color="red"))
    cache.put(a_thing("b", 2, uid="u2", color="red"))
    cache.put(a_thing("a", 3, color="blue"))
    assert [t.metadata.name for t in cache.by("color", "red")] == ["b"]
    assert [t.metadata.name for t in cache.by("color", "blue")] == ["a"]
    cache.remove("ns", "b")
    assert cache.by("color", "red") == []


def test_what_nobody_reads_is_not_kept_whoever_brings_it() -> None:
    def trim(thing: Thing) -> Thing:
        return msgspec.structs.replace(thing, metadata=without_last_applied(thing.metadata))

    cache = Cache(Thing, trim=trim)
    big = a_thing("a", 1)
    big = msgspec.structs.replace(
        big,
        metadata=msgspec.structs.replace(big.metadata, annotations={LAST_APPLIED: "{...}", "kept": "yes"}),
    )
    cache.put(big)
    cache.absorb(
        msgspec.json.encode(
            msgspec.structs.replace(big, metadata=msgspec.structs.replace(big.metadata, name="b"))
        )
    )
    assert [t.metadata.annotations for t in cache.items()] == [{"kept": "yes"}, {"kept": "yes"}]


def test_one_failing_subscriber_does_not_silence_the_others() -> None:
    cache = Cache(Thing)

    def broken(old: Thing | None, new: Thing | None) -> None:
        raise ValueError("broken")

    cache.subscribe(broken)
    heard = told(cache)
    cache.put(a_thing("a", 1))
    assert heard == [(None, "red")]


class CacheMachine(RuleBasedStateMachine):
    """A server whose events arrive late and whose answers to our writes arrive in any order in between."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 10
        self.live: dict[str, Thing] = {}
        self.events: list[tuple[str, Thing]] = []  # not delivered yet
        self.answers: list[Thing] = []  # to our own writes, not delivered yet
        self.cache = Cache(Thing, {"color": lambda t: (t.color,)})
        self.story: dict[str, Thing] = {}  # what a subscriber believes
        self.cache.subscribe(self.hear)

    def hear(self, old: Thing | None, new: Thing | None) -> None:
        name = (old or new).metadata.name
        assert self.story.get(name) == old, "a subscriber was told of a change from what it never saw"
        if new is None:
            del self.story[name]
        else:
            self.story[name] = new

    names = st.sampled_from("abc")
    colors = st.sampled_from(("red", "blue"))

    @rule(name=names, color=colors, ours=st.booleans())
    def write(self, name, color, ours) -> None:
        old = self.live.get(name)
        self.version += 1
        uid = old.metadata.uid if old else f"u{self.version}"
        new = a_thing(name, self.version, uid=uid, color=color)
        self.live[name] = new
        self.events.append(("PUT", new))
        if ours:
            self.answers.append(new)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), ours=st.booleans())
    def delete(self, data, ours) -> None:
        name = data.draw(st.sampled_from(sorted(self.live)))
        old = self.live.pop(name)
        self.version += 1
        self.events.append(("DELETED", a_thing(name, self.version, uid=old.metadata.uid, color=old.color)))
        if ours:
            self.cache.deleted("ns", name, old.metadata.uid)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data) -> None:
        at = data.draw(st.integers(0, len(self.answers) - 1))
        self.cache.put(self.answers.pop(at))

    @precondition(lambda self: self.events)
    @rule()
    def an_event_arrives(self) -> None:
        kind, thing = self.events.pop(0)
        meta = thing.metadata
        if kind == "PUT":
            self.cache.put(thing)
            self.cache.pass_by(meta.resource_version)
        else:
            self.cache.remove("ns", meta.name, resource_version=meta.resource_version)
            self.cache.pass_by(meta.resource_version, gone=meta.uid)

    @rule()
    def relist(self) -> None:
        self.events.clear()
        self.cache.replace(list(self.live.values()), str(self.version))

    @invariant()
    def once_all_events_have_arrived_the_cache_is_what_the_server_has(self) -> None:
        seen = {t.metadata.name: t for t in self.cache.items()}
        assert seen == self.story
        if not self.events:
            assert seen == self.live

    @invariant()
    def indexes_agree_with_the_objects(self) -> None:
        for color in ("red", "blue"):
            assert sorted(t.metadata.name for t in self.cache.by("color", color)) == sorted(
                t.metadata.name for t in self.cache.items() if t.color == color
            )


TestCacheAgainstAServer = CacheMachine.TestCase
TestCacheAgainstAServer.settings = settings(
    max_examples=45, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
