"""From what a verb returned to bytes: objects, lists, watch events, tables, metadata only.

An object is encoded once per stored version (`Entry.bytes`); gets, lists and watches all send the same bytes.
"""

from __future__ import annotations

import msgspec

from kruise_rollouts.kube.effects import JsonObject

from .negotiate import Form
from .pipeline import Parts
from .reads import Page
from .request import Call, Response
from .resources import Resource
from .store import Entry
from .watch import Encode, Watcher

_encode = msgspec.json.Encoder().encode


class Answers:
    """Writes answers in the form that was asked for."""

    def __init__(self, parts: Parts, watcher: Watcher) -> None:
        self._parts = parts
        self._watcher = watcher

    async def encoded(self, entry: Entry, resource: Resource) -> bytes:
        """The object as JSON in the version of `resource`; encoded once."""
        found = entry.bytes.get(resource.api_version)
        if found is None:
            obj = await self._parts.load(entry, resource)
            found = entry.bytes[resource.api_version] = _encode(obj)
        return found

    async def one(self, call: Call, obj: JsonObject, form: Form, *, status: int) -> Response:
        """One object (or Status, Scale, ...)."""
        body = await self._plain(call, obj)
        return Response(status, body, form.content_type, _warnings(call))

    async def _plain(self, call: Call, obj: JsonObject) -> bytes:
        meta = obj.get("metadata") or {}
        entry = self._parts.store.entry(
            *call.resource.storage, meta.get("namespace", ""), meta.get("name", "")
        )
        if entry is not None and entry.obj is obj:
            return await self.encoded(entry, call.resource)
        return _encode(obj)

    async def listed(self, call: Call, page: Page, form: Form) -> Response:
        """A list."""
        resource = call.resource
        head = _encode(
            {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": page.meta}
        )
        # Items of built-in lists carry no apiVersion and kind; both come first in every encoded object.
        cut = (
            0
            if resource.custom
            else len(_encode({"apiVersion": resource.api_version, "kind": resource.kind}))
        )
        items = [await self.encoded(e, resource) for e in page.entries]
        parts = [b"{" + i[cut:] for i in items] if cut else items
        return Response(
            200, head[:-1] + b',"items":[' + b",".join(parts) + b"]}", form.content_type, _warnings(call)
        )

    async def watch(self, call: Call, form: Form) -> Response:
        """The stream of a watch."""
        encode = self._event_encoder(call.resource)
        stream = self._watcher.open_watch(call, encode, "plain")
        return Response(200, content_type=form.content_type, headers=_warnings(call), stream=stream)

    def _event_encoder(self, resource: Resource) -> Encode:
        async def plain(entry: Entry, first: bool) -> bytes:
            return await self.encoded(entry, resource)

        return plain


def _warnings(call: Call) -> tuple[tuple[str, str], ...]:
    """Warning headers, each text once."""
    quoted = (
        w.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for w in dict.fromkeys(call.warnings)
    )
    return tuple(("Warning", f'299 - "{w}"') for w in quoted)
