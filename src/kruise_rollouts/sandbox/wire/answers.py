"""From what a verb returned to bytes: objects, lists, watch events, tables, metadata only.

An object is encoded once per stored version (`Entry.bytes`); gets, lists and watches all send the same bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import yaml

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import NotAcceptable
from kruise_rollouts.sandbox.pipeline import Parts
from kruise_rollouts.sandbox.reads import Page
from kruise_rollouts.sandbox.request import Call, Request, Response
from kruise_rollouts.sandbox.resources import Resource
from kruise_rollouts.sandbox.store import Entry
from kruise_rollouts.sandbox.tables import table
from kruise_rollouts.sandbox.watch import Encode, Watcher

from .negotiate import PLAIN, Form

ENTRIES_PER_TURN = 64
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_EYES = ("curl", "Wget", "Mozilla/5.0")

_encode = msgspec.json.Encoder().encode
# The pure-Python dumper is far slower, but is there on every platform.
_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc]
    """YAML as Kubernetes writes it: no anchors, double quotes, blocks for several lines."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == "tag:yaml.org,2002:str"
    style = "|" if "\n" in value else None if plain and value else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


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
        if form.shape and obj.get("kind") in (call.resource.kind, table.SCALE.kind):
            return self._written(call, self._shaped(call, obj, form), form, status)
        if form.yaml:
            return self._written(call, obj, form, status)
        return Response(status, await self._plain(call, obj), headers=warnings_of(call))

    def _shaped(self, call: Call, obj: JsonObject, form: Form) -> JsonObject:
        if form.shape == "PartialObjectMetadata":
            return table.metadata_only(obj, form.version)
        if form.shape == "PartialObjectMetadataList":
            raise NotAcceptable(
                f"you requested PartialObjectMetadataList, but the requested object is not a list ({_go(call.resource)})"
            )
        now, include = self._parts.clock.now(), table.include_of(call.query)
        resource = table.SCALE if obj["kind"] == table.SCALE.kind else call.resource
        row = table.row(resource, obj, now, include, form.version)
        meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return table.table(resource, [row], meta, form.version)

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
        if form == PLAIN:
            return Response(200, await self._list_bytes(call.resource, page), headers=warnings_of(call))
        objects = [await self._parts.load(e, call.resource) async for e in self._calmly(page.entries)]
        return self._written(call, self._shaped_list(call, objects, page.meta, form), form, 200)

    async def _calmly(self, entries: tuple[Entry, ...]) -> AsyncIterator[Entry]:
        """`entries`, with a turn of the event loop now and then while there is work put off to be done on them."""
        for index, entry in enumerate(entries):
            if entry.owed is not None and index % ENTRIES_PER_TURN == 0:
                await self._parts.clock.sleep(0)
            yield entry

    def _shaped_list(self, call: Call, objects: list[JsonObject], meta: JsonObject, form: Form) -> JsonObject:
        resource = call.resource
        match form.shape:
            case "":
                kind = {"kind": resource.list_kind, "apiVersion": resource.api_version}
                return {**kind, "metadata": meta, "items": objects}
            case "PartialObjectMetadataList":
                kind = {"kind": form.shape, "apiVersion": f"meta.k8s.io/{form.version}"}
                return {
                    **kind,
                    "metadata": meta,
                    "items": [table.metadata_only(o, form.version) for o in objects],
                }
            case "PartialObjectMetadata":
                raise NotAcceptable(
                    f"you requested PartialObjectMetadata, but the requested object is a list ({_go(resource)}List)"
                )
        now, include = self._parts.clock.now(), table.include_of(call.query)
        rows = [table.row(resource, o, now, include, form.version) for o in objects]
        return table.table(resource, rows, meta, form.version)

    async def _list_bytes(self, resource: Resource, page: Page) -> bytes:
        meta = {"continue": "", **page.meta} if resource.custom else page.meta
        head = _encode({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": meta})
        # Items of built-in lists carry no apiVersion and kind; both come first in every encoded object.
        cut = (
            0
            if resource.custom
            else len(_encode({"apiVersion": resource.api_version, "kind": resource.kind}))
        )
        items = [await self.encoded(e, resource) async for e in self._calmly(page.entries)]
        parts = [b"{" + i[cut:] for i in items] if cut else items
        return b'%b,"items":[%b]}' % (head[:-1], b",".join(parts))

    def _written(self, call: Call, obj: JsonObject, form: Form, status: int) -> Response:
        if form.yaml:
            return Response(status, _yaml(obj), "application/yaml", warnings_of(call))
        return Response(status, _encode(obj), headers=warnings_of(call))

    async def watch(self, call: Call, form: Form) -> Response:
        """The stream of a watch."""
        shared = "" if form.shape == "Table" else form.shape or "plain"
        stream = self._watcher.open_watch(call, self._event_encoder(call, form), shared)
        return Response(200, headers=warnings_of(call), stream=stream)

    def _event_encoder(self, call: Call, form: Form) -> Encode:
        resource = call.resource

        async def plain(entry: Entry, first: bool) -> bytes:
            return await self.encoded(entry, resource)

        async def metadata(entry: Entry, first: bool) -> bytes:
            return _encode(table.metadata_only(await self._parts.load(entry, resource), form.version))

        async def row(entry: Entry, first: bool) -> bytes:
            obj = await self._parts.load(entry, resource)
            line = table.row(resource, obj, self._parts.clock.now(), include, form.version)
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return _encode(table.table(resource, [line], meta, form.version, headed=first))

        if form.shape == "Table":
            include = table.include_of(call.query)
            return row
        return metadata if form.shape else plain


def _go(resource: Resource) -> str:
    """The type's name in Kubernetes' own messages."""
    if resource.custom:
        return "*unstructured.Unstructured"
    return f"*{resource.group.removesuffix('.k8s.io') or 'core'}.{resource.kind}"


def as_asked(answer: Response, accept: str) -> Response:
    """A refusal in YAML for who asks for that first."""
    if not accept.startswith("application/yaml"):
        return answer
    text = _yaml(msgspec.json.decode(answer.body))
    return msgspec.structs.replace(answer, body=text, content_type="application/yaml")


def is_for_eyes(request: Request) -> bool:
    """Whether a person reads the answer as it is: asked for, or a browser, curl or wget asks."""
    wanted = next((v for k, v in request.query if k == "pretty"), "")
    if wanted:
        return wanted in _TRUE
    return request.headers.get("user-agent", "").startswith(_EYES)


def indented(answer: Response) -> Response:
    """JSON laid out in lines; anything else as it is."""
    if answer.stream is not None or answer.content_type != "application/json" or not answer.body:
        return answer
    return msgspec.structs.replace(answer, body=msgspec.json.format(answer.body, indent=2))


def _yaml(obj: JsonObject) -> bytes:
    text: str = yaml.dump(obj, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=1 << 20)
    return text.encode()


def warnings_of(call: Call) -> tuple[tuple[str, str], ...]:
    """Warning headers, each text once."""
    if not call.warnings:
        return ()
    quoted = (
        w.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for w in dict.fromkeys(call.warnings)
    )
    return tuple(("Warning", f'299 - "{w}"') for w in quoted)
