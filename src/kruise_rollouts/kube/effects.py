"""What a decision may ask for: four kinds of write, a next status, a wake-up time, notes for people.

Nothing here performs anything; runtime/apply.py does. A write carries all that is needed to repeat it safely
after a crash: names are decided, never generated, and a patch that replaces a list carries the resourceVersion
it was computed from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

# The one Any of the code base: JSON we carry but do not interpret.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Json]


class Ref(Struct, frozen=True, order=True):
    """Names one object. `ns` is "" for cluster-scoped kinds."""

    api_version: str  # "apps/v1"; "v1" for the core group
    kind: str
    ns: str
    name: str

    @property
    def group(self) -> str:
        """API group without the version; "" for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.ns}/{self.name}" if self.ns else f"{self.kind} {self.name}"


class Basis(Struct, frozen=True):
    """What a write was decided on: one incarnation of an object, and its metadata.generation.

    The status may change under it; the spec, and of a Deployment the annotations as well, may not.
    """

    uid: str
    generation: int


class Create(Struct, frozen=True, tag=True):
    """POST `body`. AlreadyExists counts as done only if the live object has our owner; apply.py checks."""

    ref: Ref
    body: JsonObject


class Patch(Struct, frozen=True, tag=True):
    """JSON merge patch (RFC 7386) of the object, or of one of its subresources."""

    ref: Ref
    body: JsonObject
    subresource: Literal["", "status", "scale", "finalize"] = ""
    resource_version: str = ""  # not "": the write fails with Conflict unless the live object still has it
    basis: Basis | None = None  # not None: likewise; then values are replaced whole (see kube.patch.on_basis)
    apart: bool = False  # nothing depends on when: it may be performed at the same time as such neighbours


class Delete(Struct, frozen=True, tag=True):
    """DELETE; NotFound counts as done."""

    ref: Ref
    uid: str = ""  # not "": only this incarnation
    propagation: Literal["", "Background", "Foreground", "Orphan"] = ""
    grace_seconds: int | None = None  # None: the kind's default; 0: at once


class Evict(Struct, frozen=True, tag=True):
    """Pod eviction: refused with TooManyRequests while a PodDisruptionBudget forbids it."""

    ref: Ref


Write: TypeAlias = Create | Patch | Delete | Evict


class Note(Struct, frozen=True):
    """Something a person should be told; becomes an Event on `ref`."""

    ref: Ref
    reason: str  # CamelCase
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


StatusT = TypeVar("StatusT")


class Decision(Struct, Generic[StatusT], frozen=True):
    """Everything one reconcile wants. Writes are applied in order, the status last.

    No writes and an unchanged status mean "already so": the loop then stops folding.
    """

    status: StatusT
    writes: tuple[Write, ...] = ()
    wake_at: datetime | None = None  # None: only an event can change the outcome
    notes: tuple[Note, ...] = ()
