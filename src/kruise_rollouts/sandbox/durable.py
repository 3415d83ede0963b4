"""The store on disk: a snapshot and the commits since, one JSON line each, so that a killed process loses nothing.

A commit is written before anybody can see it. A line that was cut off by a kill was never answered and is dropped.
Written data is safe from the death of the process, not from that of the machine.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

from .resources import StorageKey
from .store import Change, Store

SNAPSHOT, LOG = "snapshot.jsonl", "log.jsonl"
COMPACT_BYTES = 64 << 20  # a longer log is folded into the snapshot


class _Line(Struct, array_like=True):
    """One commit; in a snapshot, one object. `obj` is None for a deletion."""

    rv: int
    group: str
    plural: str
    key: str
    obj: JsonObject | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


class Journal:
    """Keeps a Store in a folder. One process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._size = 0
        self._store: Store | None = None

    def open(self, store: Store) -> None:
        """Fills `store` (empty until now) with what is kept, and keeps its commits from now on.

        Raises OSError for a folder that cannot be written, ValueError for one that holds something else.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        rv, objects = self._read()
        if rv:
            store.restore(rv, [(key, obj) for key, obj in objects.items()])
        self._store = store
        self._compact()
        store.journal = self.write

    def _read(self) -> tuple[int, dict[tuple[str, str, str], JsonObject]]:
        """The newest resourceVersion, and every object by group, plural and key."""
        rv = 0
        objects: dict[tuple[str, str, str], JsonObject] = {}
        for name in (SNAPSHOT, LOG):
            path = self._folder / name
            if not path.exists():
                continue
            kept = rv
            for raw in path.read_bytes().split(b"\n")[:-1]:  # what follows the last newline was cut off
                try:
                    line = _decode(raw)
                except msgspec.MsgspecError as bad:
                    raise ValueError(f"{path} is no journal of a sandbox: {bad}") from None
                if name == LOG and line.rv <= kept:
                    continue  # already in the snapshot
                rv = max(rv, line.rv)
                where = (line.group, line.plural, line.key)
                if line.obj is not None:
                    objects[where] = line.obj
                else:
                    objects.pop(where, None)
        return rv, objects

    def _compact(self) -> None:
        """Writes a new snapshot, and begins a new log once that is in place."""
        if self._store is None:
            return
        part, target = self._folder / f"{SNAPSHOT}.part", self._folder / SNAPSHOT
        with part.open("wb") as file:
            # The last line says how far the snapshot reaches, even if newer commits were deletions only.
            for (group, plural), table in self._store.tables.items():
                for entry in table.entries.values():
                    file.write(_encode(_Line(entry.rv, group, plural, entry.key, entry.obj)) + b"\n")
            file.write(_encode(_Line(self._store.rv, "", "", "", None)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._file = os.open(self._folder / LOG, flags, 0o600)
        self._size = 0

    def write(self, storage: StorageKey, change: Change) -> None:
        """Keeps one commit. Raises OSError if it cannot be kept; the commit then does not happen."""
        if self._size > COMPACT_BYTES:
            self._compact()
        obj = None if change.type == "DELETED" else change.new.obj
        raw = _encode(_Line(change.rv, *storage, change.new.key, obj)) + b"\n"
        os.write(self._file, raw)
        self._size += len(raw)

    def close(self) -> None:
        """Keeps no more commits."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
