"""The decision log: one line for each thing told to people, and one for each stored status that moved.

At rest nothing is decided, so nothing is written here. What a line says of an object is the operator's matter
(`Describe`), how it looks is telemetry.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from kruise_rollouts.kube.effects import Note, Write

from .log import log_of

log = log_of(__name__)

SeenT = TypeVar("SeenT", contravariant=True)
StatusT = TypeVar("StatusT", contravariant=True)


class Account(Struct, frozen=True):
    """What a line says of one object."""

    pairs: Mapping[str, object]  # which object, and what a search would ask for: step, revision
    was: str  # where it stands by the stored status,
    now: str  # and by the one decided; the same: nothing that is worth a line of its own


Describe: TypeAlias = Callable[[SeenT, StatusT], Account]


class Journal(Protocol[SeenT, StatusT]):
    """Is told by the fold loop what has been done, when it has been done."""

    def wrote(self, seen: SeenT, status: StatusT, writes: Sequence[Write]) -> None:
        """`writes` are made, all of them."""
        ...

    def told(self, seen: SeenT, status: StatusT, notes: Sequence[Note]) -> None:
        """What `notes` tell has come true."""
        ...

    def stored(self, seen: SeenT, status: StatusT) -> None:
        """`status` is what the API server has now."""
        ...


class Lines(Generic[SeenT, StatusT]):
    """A Journal that writes log lines."""

    def __init__(self, controller: str, describe: Describe[SeenT, StatusT]) -> None:
        self._log = log.bind(controller=controller)
        self._describe = describe

    def wrote(self, seen: SeenT, status: StatusT, writes: Sequence[Write]) -> None:
        if not self._log.is_verbose:
            return
        pairs = self._describe(seen, status).pairs
        self._log.debug("written", **pairs, writes=", ".join(map(_words, writes)))

    def told(self, seen: SeenT, status: StatusT, notes: Sequence[Note]) -> None:
        """The same words on several objects are one line."""
        pairs = self._describe(seen, status).pairs
        for said in {(n.type, n.reason, n.message): n for n in reversed(notes)}.values():
            write = self._log.warning if said.type == "Warning" else self._log.info
            write("told", **pairs, reason=said.reason, text=said.message)

    def stored(self, seen: SeenT, status: StatusT) -> None:
        account = self._describe(seen, status)
        if account.was != account.now:
            self._log.info("moved", **account.pairs, was=account.was, now=account.now)


def _words(write: Write) -> str:
    part = getattr(write, "subresource", "")
    return f"{type(write).__name__.lower()} {write.ref}" + (f" {part}" if part else "")
