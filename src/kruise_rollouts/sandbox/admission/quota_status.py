"""Keeps the status of ResourceQuotas: what the objects of their namespaces use now.

Admission (quota.py) counts for itself; this is for those who read the status.
"""

from __future__ import annotations

from collections.abc import Callable

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.custom.crd import run_soon
from kruise_rollouts.sandbox.resources import StorageKey
from kruise_rollouts.sandbox.store import Store

from .quota import counted_storages, status_of

QUOTAS: StorageKey = ("", "resourcequotas")


class QuotaStatus:
    """Follows one store. Costs nothing until there is a quota."""

    def __init__(self, store: Store, soon: Callable[[Callable[[], None]], None] = run_soon) -> None:
        self._store = store
        self._soon = soon
        self._followed: set[StorageKey] = set()
        self._changed: set[str] = set()  # namespaces to be counted again

    def start(self) -> None:
        self._store.subscribe(*QUOTAS, self._quota_changed)
        for quota in self._store.list(*QUOTAS):
            self._quota_changed("ADDED", None, quota)

    def _quota_changed(self, type: str, old: JsonObject | None, new: JsonObject | None) -> None:
        if new is None or type == "DELETED":
            return
        for storage in counted_storages((new.get("spec") or {}).get("hard") or {}):
            if storage not in self._followed:
                self._followed.add(storage)
                self._store.subscribe(*storage, self._object_changed)
        self._count_again(new)

    def _object_changed(self, type: str, old: JsonObject | None, new: JsonObject | None) -> None:
        self._count_again(new or old or {})

    def _count_again(self, obj: JsonObject) -> None:
        ns = (obj.get("metadata") or {}).get("namespace", "")
        if not self._changed:
            self._soon(self.settle)
        self._changed.add(ns)

    def settle(self) -> None:
        """Stores the status of every quota of the namespaces that changed."""
        changed, self._changed = self._changed, set()
        for ns in changed:
            for quota in self._store.list(*QUOTAS, ns):
                entry = self._store.entry(*QUOTAS, ns, quota["metadata"]["name"])
                status = status_of(self._store, quota)
                if entry is not None and status != quota.get("status"):
                    self._store.update(*QUOTAS, {**quota, "status": status}, entry)
